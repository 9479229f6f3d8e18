// One host of this node (rmo/host) as the agent uses it. Every order carries the authority system:agent, which the guard
// (VmGuard) lets through without asking what the cloud thinks of it: the agent is who does the thinking.
//
// destroy() goes round the VM's lock: whatever verb hangs there, a copy that must not run is ended.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock, NodeId, Random } from '../../fabric/base.ts'
import type { Authority } from '../../functions/mod.ts'
import { RMO } from '../../rmo/mod.ts'
import type { Host, VmSettings } from '../../rmo/mod.ts'
import type { IntentRecord } from '../cloud/contract.ts'
import type { AgentDomain, AgentHost } from '../cloud/parts.ts'
import { AGENT } from './steps.ts'

export interface AgentHostOptions { readonly host: Host; readonly name: string; readonly node: NodeId; readonly clock: Clock; readonly random: Random }

const TRACE_BYTES = 8
type HostVm = NonNullable<ReturnType<Host['vms']['get']>>

/** Names that the hypervisor gives to its end of an interface change with each start: no setting of the VM's. */
const GIVEN_TARGET = /^vnet\d+$/
function lasting(settings: VmSettings): VmSettings {
  if (!settings.devices.some((device) => device.type === 'interface' && GIVEN_TARGET.test(device.target ?? ''))) return settings
  return { ...settings, devices: settings.devices.map((device) => {
    if (device.type !== 'interface' || !GIVEN_TARGET.test(device.target ?? '')) return device
    const { target: _, ...rest } = device
    return rest
  }) }
}

/**
 * Rejects as soon as it is called back: its turn at the VM's lock may come after a user's start that waits for this agent to arm
 * the VM. What is called back does nothing when its turn comes.
 */
async function unlessCalledBack(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>()
  const callBack = (): void => reject(signal.reason)
  if (signal.aborted) callBack()
  signal.addEventListener('abort', callBack, { once: true })
  try { await Promise.race([work, promise]) } finally { signal.removeEventListener('abort', callBack) }
}

export function createAgentHost({ host, name, node, clock, random }: AgentHostOptions): AgentHost {
  const known = new WeakMap<VmSettings, VmSettings>()
  const settingsOf = (settings: VmSettings): VmSettings => {
    const found = known.get(settings) ?? lasting(settings)
    known.set(settings, found)
    return found
  }
  const domainOf = (vm: HostVm): AgentDomain => {
    const { uuid, state, reason, settings, pid, metadata } = vm.record
    return {
      uuid, name: settings.name, state, reason, settings: settingsOf(settings), cpuRatio: vm.attributes().cpuRatio,
      // A simulated process's number is some real process's, which no watchdog may kill.
      ...pid === undefined || host.driver.name === 'memory' ? {} : { pid }, ...metadata?.epoch === undefined ? {} : { epoch: metadata.epoch },
    }
  }
  const authority = (timeoutMs: number, signal: AbortSignal): Authority => {
    const endsAtMs = clock.nowMs() + timeoutMs
    return { principal: AGENT, trace: Buffer.from(random.bytes(TRACE_BYTES)).toString('hex'), hop: 0, signal, remainingMs: () => Math.max(0, endsAtMs - clock.nowMs()) }
  }
  const vmOf = (uuid: string): HostVm => {
    const vm = host.vms.get(uuid)
    if (vm === undefined) throw RMO.OBJECT_UNKNOWN({ kind: 'VM', uuid, node: name })
    return vm
  }
  const define = (how: 'create' | 'restore') => ({ uuid, epoch, settings, name: vmName }: IntentRecord, signal: AbortSignal): Promise<void> =>
    host.placement.define(how, { uuid, epoch, settings: { ...settings, name: vmName } }, authority(LIMITS.agentMakeMs, signal))

  return {
    machine: { uuid: host.machineUuid, name, node },
    ready: host.ready,
    connected: () => host.connected(),
    domain(uuid) {
      const vm = host.vms.get(uuid)
      return vm === undefined ? undefined : domainOf(vm)
    },
    domains: () => host.vms.list().map(domainOf),
    onChange(listener) {
      return host.subscribe('VMM', host.vmm.uuid, (event) => {
        const { type, uuid, event: what } = event as { readonly type: string; readonly uuid?: unknown; readonly event?: unknown }
        if (typeof uuid !== 'string' || (type !== 'vm' && type !== 'vmAdded' && type !== 'vmRemoved')) return
        const ended = what === 'crashed' ? 'crashed' as const
          : what !== 'stopped' ? undefined
          : host.vms.get(uuid)?.record.reason === 'shutdown' ? 'shut-down' as const : 'destroyed' as const
        listener(uuid, ended)
      })
    },
    create: define('create'),
    restore: define('restore'),
    async start(vm, signal) {
      const { pid: died } = vmOf(vm).record
      await vmOf(vm).start({}, authority(LIMITS.agentCallMs, signal))
      // Nothing was started: the hypervisor still takes the emulator that died for a running one.
      if (died !== undefined && vmOf(vm).record.pid === died) throw RMO.STATE_INVALID({ kind: 'VM', name: vmOf(vm).name, operation: 'start', state: 'dead, and the hypervisor has not noticed', needs: 'seen off' })
    },
    stop: (vm, patienceMs, signal) => unlessCalledBack(vmOf(vm).stop({ force: true, timeoutMs: patienceMs }, authority(patienceMs + LIMITS.agentCallMs, signal)), signal),
    async destroy(vm, signal) {
      const { remainingMs } = authority(LIMITS.agentCallMs, signal)
      await host.driver.domains.destroy(vm, { signal, remainingMs })
      await host.vms.refresh(vm)
    },
    remove: (vm, { keepDisks }, signal) => host.vmm.remove({ kind: 'VM', uuid: vm, home: host.self, name: host.vms.get(vm)?.name ?? vm, attributes: {} }, { force: true, keepDisks }, authority(LIMITS.agentMakeMs, signal)),
    async migrate(vm, to, signal) {
      await vmOf(vm).migrate({ kind: 'PhysicalMachine', uuid: to.uuid, home: to.node, name: to.name, attributes: {} }, {}, authority(LIMITS.agentMigrateMs, signal))
    },
    unsettled(vm) {
      const phase = host.migrations.last(vm)?.phase
      return phase !== undefined && phase !== 'done' && phase !== 'failed' && phase !== 'cancelled'
    },
    stamp: (vm, epoch, signal) => host.placement.stamp(vm, epoch, authority(LIMITS.agentCallMs, signal)),
    serial: (vm, signal) => vmOf(vm).serial({}, authority(LIMITS.agentListenMs, signal)),
  }
}
