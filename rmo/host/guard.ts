// A driver that may hang, wrapped so that nothing here does: every call ends by its deadline plus
// LIMITS.hostGuardGraceMs, and fails at once while the hypervisor is away.
//
// Drivers keep deadlines themselves (contract.ts); this is the second net, so that one that does not cannot hold the
// lock of an object for ever. What was given up may still be done: RMO_ERR_DRIVER_TIMEOUT has outcome 'unknown'.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { Call, DomainDriver, HypervisorDriver, NetworkDriver, StorageDriver } from '../driver/contract.ts'
import { RMO } from '../errors.ts'

const isCall = (value: unknown): value is Call => typeof value === 'object' && value !== null && typeof (value as { remainingMs?: unknown }).remainingMs === 'function'

/** The work's answer, or RMO_ERR_DRIVER_TIMEOUT when it has not come some time after the call ended. */
export function within<T>(guard: { readonly clock: Clock; readonly uri: string }, operation: string, call: Call, work: () => Promise<T>): Promise<T> {
  const timeoutMs = Math.max(0, Math.round(call.remainingMs()))
  return new Promise<T>((resolve, reject) => {
    const giveUp = (): void => { end(); reject(RMO.DRIVER_TIMEOUT({ uri: guard.uri, operation, timeoutMs })) }
    let timer = guard.clock.after(timeoutMs + LIMITS.hostGuardGraceMs, giveUp, { background: true })
    const aborted = (): void => { timer.cancel(); timer = guard.clock.after(LIMITS.hostGuardGraceMs, giveUp, { background: true }) }
    const end = (): void => { timer.cancel(); call.signal?.removeEventListener('abort', aborted) }
    if (call.signal?.aborted === true) aborted()
    else call.signal?.addEventListener('abort', aborted, { once: true })
    work().then((value) => { end(); resolve(value) }, (error: unknown) => { end(); reject(error as Error) })
  })
}

export function guardDriver(driver: HypervisorDriver, clock: Clock): HypervisorDriver {
  const guard = { clock, uri: driver.uri }
  const guarded = <A extends readonly unknown[], R>(operation: string, run: (...args: A) => Promise<R>): ((...args: A) => Promise<R>) => async (...args) => {
    if (!driver.connected) throw RMO.DRIVER_UNAVAILABLE({ uri: driver.uri, reason: 'the connection is down' })
    const call = args.find(isCall)
    if (call?.signal?.aborted === true) throw call.signal.reason
    return call === undefined ? run(...args) : within(guard, operation, call, () => run(...args))
  }
  /** Every function of a group, by name; the group's own type stays. */
  const group = <G extends object>(of: G, prefix: string): G =>
    new Proxy(of, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key)
        return typeof value === 'function' && typeof key === 'string'
          ? guarded(`${prefix}${key}`, (value as (...args: unknown[]) => Promise<unknown>).bind(target))
          : value
      },
    })
  const domains: DomainDriver = group(driver.domains, '')
  const storage: StorageDriver = group(driver.storage, 'storage.')
  const networks: NetworkDriver = group(driver.networks, 'network.')
  return {
    name: driver.name, uri: driver.uri, domains, storage, networks,
    get connected() { return driver.connected },
    open: () => driver.open(),
    close: () => driver.close(),
    onEvent: (listener) => driver.onEvent(listener),
    facts: guarded('facts', (call: Call) => driver.facts(call)),
    inventory: guarded('inventory', (call: Call) => driver.inventory(call)),
    stats: guarded('stats', (call: Call) => driver.stats(call)),
  }
}
