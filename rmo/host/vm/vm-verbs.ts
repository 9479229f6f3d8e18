// Verbs that ask one thing of a running or stopped VM: start, destroy, reboot, suspend, resume, save, and stop.
//
// Each takes the VM's lock, reads the state from the hypervisor (what events say may be late), lets the state machine
// decide, carries out, and reads again. stop() gives the lock back while it waits for the guest, so that destroy() of
// somebody else is not kept waiting.

import { LIMITS } from '../../../fabric/base.ts'
import type { Authority } from '../../../functions/mod.ts'
import type { Call, DomainDriver, DomainRecord } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import { levelOf, mustDo } from '../../vm-state.ts'
import type { VmOperation } from '../../vm-state.ts'
import { setGoing } from './set-going.ts'
import type { HostVm } from './vm.ts'
import type { VmContext } from './vm-context.ts'
import type { GuardedVerb } from '../contract.ts'

/** Serialised on the VM, with its record as of now; afterwards the record is read again, also when it failed. */
export function withVm<T>(context: VmContext, vm: HostVm, authority: Authority, work: (record: DomainRecord, call: Call) => Promise<T>): Promise<T> {
  return context.host.exclusive(`VM/${vm.uuid}`, async () => {
    // The caller may have left while this waited for its turn.
    authority.signal.throwIfAborted()
    const call = context.host.call(authority)
    const record = await context.room.current(vm, call)
    vm.changing++
    try { return await work(record, call) } finally {
      vm.changing--
      await context.room.refresh(vm.uuid)
    }
  })
}

/** Never both running (migration.ts). */
const SETS_GOING: ReadonlySet<VmOperation> = new Set(['start', 'startPaused', 'resume'])
/** What the guard calls them; the others change nothing of what is wanted. */
const GUARDED: Readonly<Partial<Record<VmOperation, GuardedVerb>>> = { start: 'start', startPaused: 'start', destroy: 'destroy', save: 'save' }

export async function operate(context: VmContext, vm: HostVm, operation: VmOperation, authority: Authority, work: (domains: DomainDriver, call: Call) => Promise<void>): Promise<void> {
  await withVm(context, vm, authority, async ({ state, settings, metadata }, call) => {
    const { uuid } = vm
    const { name } = settings
    const verb = GUARDED[operation]
    // Also when there is nothing to do: one that crashed and is to be stopped must not be started again.
    const needed = mustDo(operation, { name, state })
    if (verb !== undefined) await context.guard?.asked({ uuid, name }, verb, authority)
    if (!needed) return
    const { domains } = context.host.driver
    if (!SETS_GOING.has(operation)) { await work(domains, call); return }
    await context.migrations().assertSettled(uuid)
    await setGoing(context, { uuid, name, metadata }, () => work(domains, call))
  })
}

export async function stopVm(context: VmContext, vm: HostVm, options: { readonly force?: boolean; readonly timeoutMs?: number }, authority: Authority): Promise<void> {
  const { domains } = context.host.driver
  const asked = await withVm(context, vm, authority, async ({ state, settings }, call) => {
    // A guest that stands still cannot answer.
    const step = state === 'paused' && options.force === true ? 'destroy' : mustDo('stop', { name: settings.name, state }) ? 'shutdown' : undefined
    await context.guard?.asked({ uuid: vm.uuid, name: settings.name }, 'stop', authority)
    if (step !== undefined) await domains[step](vm.uuid, call)
    return step === 'shutdown'
  })
  if (!asked) return
  const waitMs = Math.min(options.timeoutMs ?? LIMITS.vmStopTimeoutMs, authority.remainingMs() - LIMITS.vmStopReserveMs / 2)
  const off = await vm.until((record) => record === undefined || levelOf(record.state) === 'off', waitMs, authority.signal)
  if (off) return
  await withVm(context, vm, authority, async ({ state, settings }, call) => {
    if (levelOf(state) === 'off') return
    if (options.force !== true) throw RMO.STOP_TIMEOUT({ name: settings.name, waitedMs: Math.round(Math.max(0, waitMs)) })
    await domains.destroy(vm.uuid, call)
  })
}
