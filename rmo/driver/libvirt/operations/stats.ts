// Counters of all active domains in one call: virConnectGetAllDomainStats, typed parameters decoded here in the thread.

import { LIMITS } from '../../../../fabric/base.ts'
import type { DomainStats } from '../../contract.ts'
import { domainState } from '../domain-state.ts'
import type { Library } from '../library.ts'
import { statsRecordAt, uuidOf, withPointers } from '../memory.ts'
import type { ParameterValue, StatsEntry } from '../memory.ts'
import { failIf } from '../operation.ts'
import type { OperationContext, Operations } from '../operation.ts'

// virDomainStatsTypes
const STATE = 1, CPU_TOTAL = 2, BALLOON = 4, VCPU = 8, INTERFACE = 16, BLOCK = 32
const GROUPS = STATE | CPU_TOTAL | BALLOON | VCPU | INTERFACE | BLOCK
// virConnectGetAllDomainStatsFlags. NOWAIT: a domain whose monitor is busy (migrating, saving) gives what is known without it.
const ACTIVE = 1
const NOWAIT = 1 << 29
const KIB = 1024

type Parameters = ReadonlyMap<string, ParameterValue>
const number = (of: Parameters, name: string): number => Number(of.get(name) ?? 0)
const optional = <K extends string>(of: Parameters, name: string, key: K): { readonly [P in K]?: number } =>
  of.has(name) ? { [key]: number(of, name) } as { readonly [P in K]?: number } : {}
const indices = (of: Parameters, group: string): number[] =>
  Array.from({ length: Math.min(number(of, `${group}.count`), LIMITS.statsEntriesMax) }, (_, at) => at)

const disk = (of: Parameters, at: string): DomainStats['disks'][number] => {
  const path = of.get(`${at}.path`)
  return {
    target: String(of.get(`${at}.name`) ?? ''), ...(typeof path === 'string' ? { path } : {}),
    reads: number(of, `${at}.rd.reqs`), readBytes: number(of, `${at}.rd.bytes`), writes: number(of, `${at}.wr.reqs`), writtenBytes: number(of, `${at}.wr.bytes`),
    ...optional(of, `${at}.capacity`, 'capacityBytes'), ...optional(of, `${at}.allocation`, 'allocationBytes'),
  }
}
const networkInterface = (of: Parameters, at: string): DomainStats['interfaces'][number] => ({
  target: String(of.get(`${at}.name`) ?? ''),
  receivedBytes: number(of, `${at}.rx.bytes`), receivedPackets: number(of, `${at}.rx.pkts`), receiveErrors: number(of, `${at}.rx.errs`), receiveDrops: number(of, `${at}.rx.drop`),
  sentBytes: number(of, `${at}.tx.bytes`), sentPackets: number(of, `${at}.tx.pkts`), sendErrors: number(of, `${at}.tx.errs`), sendDrops: number(of, `${at}.tx.drop`),
})

/** Guest's use = what the balloon leaves it minus what it calls unused; the guest says so only with a balloon driver. */
function memoryUsed(of: Parameters): { readonly memoryUsedBytes?: number } {
  if (!of.has('balloon.available') || !of.has('balloon.unused')) return {}
  return { memoryUsedBytes: Math.max(0, number(of, 'balloon.available') - number(of, 'balloon.unused')) * KIB }
}

function statsOf(lib: Library, { object, parameters }: StatsEntry): DomainStats {
  return {
    uuid: uuidOf(lib.virDomainGetUUIDString, object),
    state: domainState(number(parameters, 'state.state'), number(parameters, 'state.reason'), false).state,
    cpuNs: BigInt(parameters.get('cpu.time') ?? 0),
    vcpus: number(parameters, 'vcpu.current'),
    memoryBytes: number(parameters, 'balloon.current') * KIB,
    ...memoryUsed(parameters),
    disks: indices(parameters, 'block').map((at) => disk(parameters, `block.${at}`)),
    interfaces: indices(parameters, 'net').map((at) => networkInterface(parameters, `net.${at}`)),
  }
}

function stats({ lib, connection }: OperationContext): DomainStats[] {
  return withPointers(
    (out) => {
      let count = lib.virConnectGetAllDomainStats(connection, GROUPS, out, ACTIVE | NOWAIT)
      // Hypervisors that know no NOWAIT, or not all groups of counters, give what they have.
      if (count < 0) count = lib.virConnectGetAllDomainStats(connection, GROUPS, out, ACTIVE)
      if (count < 0) count = lib.virConnectGetAllDomainStats(connection, 0, out, ACTIVE)
      failIf(count < 0, lib, 'virConnectGetAllDomainStats')
      return count
    },
    lib.virDomainStatsRecordListFree,
    (record) => statsOf(lib, statsRecordAt(record)),
  )
}

export const statsOperations: Operations = { domainStats: stats }
