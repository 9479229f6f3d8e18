// Whether the records of the cloud agree with each other: for tests, the simulation, and doubts. Reads everything; writes nothing.
//
// Checks: what is booked is what the intents say, on machines, pools and accounts, and within room and quota; names and their
// records, both ways; what a record refers to is there; epochs of statuses and intents, and, from one audit to the next, that
// no epoch fell. 'over': a room or quota that was made smaller later also looks like that; callers that do so leave it out.

import { LIMITS } from '../../fabric/base.ts'
import type { GlobalStore, GlobalStoreEntry } from '../../fabric/mod.ts'
import { amountsOf, equal, NOTHING, roomOf } from './bookings.ts'
import { BOOKED_PREFIX, CLOUD_KEYS, CLOUD_PREFIX, NAME_PREFIX, watchedKey } from './keys.ts'
import { decodeRecord, RECORDS } from './read.ts'
import type { RecordKind } from './read.ts'
import { ownerScopes } from './owners.ts'
import type { Amounts, GroupRecord, IntentRecord, MachineRecord, PoolRecord, QuotaRecord, QuotaScope, RuleRecord, StatusRecord } from './records.ts'

export interface Violation { readonly rule: 'unreadable' | 'booked' | 'over' | 'name' | 'dangling' | 'epoch'; readonly key: string; readonly text: string }
/** Epochs by VM and life of its record (a VM that was forgotten and intended again begins anew), kept by the caller from one audit to the next: one that fell is a violation. */
export type EpochMemory = Map<string, number>

interface Everything {
  readonly pools: ReadonlyMap<string, PoolRecord>
  readonly machines: ReadonlyMap<string, MachineRecord>
  readonly intents: ReadonlyMap<string, IntentRecord>
  readonly statuses: ReadonlyMap<string, StatusRecord>
  readonly groups: ReadonlyMap<string, GroupRecord>
  readonly rules: ReadonlyMap<string, RuleRecord>
  readonly quotas: ReadonlyMap<string, QuotaRecord>
  readonly counters: ReadonlyMap<string, Amounts>
  readonly names: ReadonlyMap<string, string>
  /** createRevision of each intent. */
  readonly lives: ReadonlyMap<string, number>
}

/** Empty when all is well. Of one revision: read again while others write (at most LIMITS.cloudAttempts times; then as it came). */
export async function auditCloud(store: Pick<GlobalStore, 'range' | 'revision'>, epochs?: EpochMemory): Promise<readonly Violation[]> {
  const violations: Violation[] = []
  const entries = await readAll(store)
  const all = sort(entries, (key, error) => violations.push({ rule: 'unreadable', key, text: error instanceof Error ? error.message : String(error) }))
  const say = (rule: Violation['rule'], key: string, text: string): void => void violations.push({ rule, key, text })
  auditBookings(all, say)
  auditNames(all, say)
  auditReferences(all, say)
  auditEpochs(all, epochs, say)
  return violations
}

type Say = (rule: Violation['rule'], key: string, text: string) => void

async function readAll(store: Pick<GlobalStore, 'range' | 'revision'>): Promise<readonly GlobalStoreEntry[]> {
  for (let tries = 1; ; tries++) {
    const entries: GlobalStoreEntry[] = []
    const before = await store.revision()
    let last = before
    for (const prefix of [CLOUD_PREFIX, NAME_PREFIX, BOOKED_PREFIX]) {
      for (let after: string | undefined; ;) {
        const page = await store.range(prefix, after === undefined ? {} : { after })
        last = page.revision
        entries.push(...page.entries)
        after = page.entries.at(-1)?.key
        if (!page.more || after === undefined) break
      }
    }
    if (last === before || tries >= LIMITS.cloudAttempts) return entries
  }
}

function sort(entries: readonly GlobalStoreEntry[], bad: (key: string, error: unknown) => void): Everything {
  const all = { pools: new Map(), machines: new Map(), intents: new Map(), statuses: new Map(), groups: new Map(), rules: new Map(), quotas: new Map(), counters: new Map(), names: new Map(), lives: new Map() }
  const kinds: Readonly<Record<string, readonly [Map<string, unknown>, RecordKind<unknown>]>> = {
    pool: [all.pools, RECORDS.pool], machine: [all.machines, RECORDS.machine], vm: [all.intents, RECORDS.intent], status: [all.statuses, RECORDS.status],
    group: [all.groups, RECORDS.group], rule: [all.rules, RECORDS.rule], quota: [all.quotas, RECORDS.quota],
  }
  for (const { key, value, createRevision } of entries) {
    try {
      const watched = watchedKey(key)
      const kind = watched && kinds[watched.type]
      if (watched?.type === 'vm') all.lives.set(watched.id, createRevision)
      if (watched !== undefined && kind !== undefined) kind[0].set(watched.id, decodeRecord(kind[1], value))
      else if (key.startsWith(BOOKED_PREFIX)) all.counters.set(key.slice(BOOKED_PREFIX.length), decodeRecord(RECORDS.amounts, value))
      else if (key.startsWith(NAME_PREFIX)) all.names.set(key, new TextDecoder().decode(value))
    } catch (error) { bad(key, error) }
  }
  return all
}

const sum = (a: Amounts, b: Amounts): Amounts => ({ vms: a.vms + b.vms, vcpus: a.vcpus + b.vcpus, memoryMiB: a.memoryMiB + b.memoryMiB })
const shown = ({ vms, vcpus, memoryMiB }: Amounts): string => `${vms} VMs, ${vcpus} vcpus, ${memoryMiB} MiB`

function auditBookings({ pools, machines, intents, counters, quotas }: Everything, say: Say): void {
  const onMachines = new Map<string, Amounts>(), inScopes = new Map<string, Amounts>()
  for (const intent of intents.values()) {
    const amounts = amountsOf(intent)
    if (intent.machine !== undefined) onMachines.set(intent.machine.uuid, sum(onMachines.get(intent.machine.uuid) ?? NOTHING, amounts))
    for (const scope of [`pool/${intent.pool}`, `account/${intent.account}`, ...ownerScopes(intent.owner)]) inScopes.set(scope, sum(inScopes.get(scope) ?? NOTHING, amounts))
    if (intent.desired === 'running' && intent.machine !== undefined && !intent.booked) say('booked', CLOUD_KEYS.vm(intent.uuid), `${intent.name} is to run on ${intent.machine.name} and is not booked there`)
  }
  for (const machine of machines.values()) {
    const booked = onMachines.get(machine.uuid) ?? NOTHING
    if (!equal(booked, machine.booked)) say('booked', CLOUD_KEYS.machine(machine.uuid), `${machine.name} has ${shown(machine.booked)} booked; its intents are ${shown(booked)}`)
    const pool = pools.get(machine.pool)
    const room = pool && roomOf(machine, pool)
    if (room !== undefined && (booked.vcpus > room.vcpus || booked.memoryMiB > room.memoryMiB)) say('over', CLOUD_KEYS.machine(machine.uuid), `${machine.name} has ${shown(booked)} in room for ${room.vcpus} vcpus, ${room.memoryMiB} MiB`)
  }
  for (const scope of new Set([...inScopes.keys(), ...counters.keys()])) {
    const booked = inScopes.get(scope) ?? NOTHING, counted = counters.get(scope) ?? NOTHING
    const key = CLOUD_KEYS.booked(scope as QuotaScope)
    if (!equal(booked, counted)) say('booked', key, `counted are ${shown(counted)}; the intents are ${shown(booked)}`)
    const limit = quotas.get(scope)?.limit ?? {}
    for (const what of ['vms', 'vcpus', 'memoryMiB'] as const) if (booked[what] > (limit[what] ?? Infinity)) say('over', key, `${booked[what]} ${what} of ${limit[what]}`)
  }
}

function auditNames({ pools, intents, names, counters }: Everything, say: Say): void {
  const wanted = new Map<string, string>()
  for (const { uuid, name } of pools.values()) wanted.set(CLOUD_KEYS.poolName(name), uuid)
  for (const { uuid, name, pool } of intents.values()) {
    const key = CLOUD_KEYS.vmName(pool, name)
    if (wanted.has(key)) say('name', key, `two VMs are called ${name}`)
    wanted.set(key, uuid)
  }
  for (const key of new Set([...wanted.keys(), ...names.keys()])) if (wanted.get(key) !== names.get(key)) say('name', key, `it names ${names.get(key) ?? 'nothing'}; the record is ${wanted.get(key) ?? 'none'}`)
  for (const uuid of pools.keys()) if (!counters.has(`pool/${uuid}`)) say('dangling', CLOUD_KEYS.booked(`pool/${uuid}`), 'the pool has no counter')
  for (const scope of counters.keys()) if (scope.startsWith('pool/') && !pools.has(scope.slice('pool/'.length))) say('dangling', CLOUD_KEYS.booked(scope as QuotaScope), 'the counter has no pool')
}

function auditReferences({ pools, machines, intents, statuses, groups, rules, quotas }: Everything, say: Say): void {
  const records = [[machines, CLOUD_KEYS.machine], [intents, CLOUD_KEYS.vm], [groups, CLOUD_KEYS.group]] as const
  for (const [table, keyOf] of records) {
    for (const [id, record] of table) {
      if (record.uuid !== id) say('dangling', keyOf(id), `the record says that it is ${record.uuid}`)
      if (!pools.has(record.pool)) say('dangling', keyOf(id), `there is no pool ${record.pool}`)
    }
  }
  for (const [id, { pool }] of rules) if (!pools.has(pool)) say('dangling', `${CLOUD_PREFIX}rule/${id}`, `there is no pool ${pool}`)
  for (const scope of quotas.keys()) if (scope.startsWith('pool/') && !pools.has(scope.slice('pool/'.length))) say('dangling', CLOUD_KEYS.quota(scope as QuotaScope), 'there is no such pool')
  for (const { uuid, name, pool, machine } of intents.values()) {
    const there = machine && machines.get(machine.uuid)
    if (machine !== undefined && there?.pool !== pool) say('dangling', CLOUD_KEYS.vm(uuid), `${name} is to be on ${machine.name}, which is not in its pool`)
  }
  for (const vm of statuses.keys()) if (!intents.has(vm)) say('dangling', CLOUD_KEYS.status(vm), 'nobody wants this VM')
}

function auditEpochs({ intents, statuses, lives }: Everything, epochs: EpochMemory | undefined, say: Say): void {
  const present = new Map<string, number>()
  for (const { uuid, name, epoch, machine } of intents.values()) {
    if (machine !== undefined && epoch < 1) say('epoch', CLOUD_KEYS.vm(uuid), `${name} is on ${machine.name} in epoch ${epoch}`)
    const status = statuses.get(uuid)
    if (status !== undefined && status.epoch > epoch) say('epoch', CLOUD_KEYS.status(uuid), `${name} was seen in epoch ${status.epoch}, before it came to be (now ${epoch})`)
    const life = `${uuid}@${lives.get(uuid)}`
    const before = epochs?.get(life)
    if (before !== undefined && epoch < before) say('epoch', CLOUD_KEYS.vm(uuid), `${name} was in epoch ${before} and is in ${epoch}`)
    present.set(life, epoch)
  }
  epochs?.clear()
  for (const [life, epoch] of present) epochs?.set(life, epoch)
}
