// The lease of one simulated machine, as agents, guard and policies see it: the key stands in the store while the machine may
// run protected VMs, and goes a lease's life after the last renewal of a machine that died (cloud.md 5, rules 1 and 2).
//
// No renewals are made: between two faults nothing can fail, and a day of them would be most of the simulation. The one
// before the fault was sent on the grid of the renewal period, which is all that is ever known of it.

import type { Clock, NodeId, Timer } from '../../fabric/base.ts'
import type { GlobalStore } from '../../fabric/mod.ts'
import type { HaTimings, LeaseRecord } from '../cloud/contract.ts'
import { CLOUD_KEYS } from '../cloud/keys.ts'
import type { HostLease } from '../cloud/parts.ts'
import { KALI } from '../errors.ts'

export interface SimulatedLeaseOptions {
  readonly store: Pick<GlobalStore, 'transact'>
  readonly clock: Clock
  readonly node: NodeId
  readonly name: string
  readonly timings: HaTimings
  /** The store refused or failed. */
  readonly failed: (error: unknown) => void
}
export interface SimulatedLease extends HostLease {
  /** The machine stops dead: its key stands until the lease has run out. */
  crash(): void
  /** It is there again, in a new life that has armed nothing. */
  revive(): void
}

const encoder = new TextEncoder()

export function createSimulatedLease({ store, clock, node, name, timings, failed }: SimulatedLeaseOptions): SimulatedLease {
  const key = CLOUD_KEYS.lease(node)
  const listeners = new Set<(held: boolean) => void>()
  const armed = new Set<string>()
  let life = 1
  let down = false
  let held = false
  let heldSinceMs = 0
  let expiry: Timer | undefined

  const tell = (now: boolean): void => {
    if (held === now) return
    held = now
    heldSinceMs = clock.nowMs()
    for (const listener of [...listeners]) listener(now)
  }
  const put = async (): Promise<void> => {
    expiry?.cancel()
    const record: LeaseRecord = { node, name, boot: `${name}.${life}`, timings }
    await store.transact({ then: [{ do: 'put', key, value: encoder.encode(JSON.stringify(record)) }] })
  }
  const drop = (): void => { store.transact({ then: [{ do: 'delete', key }] }).catch(failed) }
  const sinceRenewalMs = (): number => (clock.nowMs() - heldSinceMs) % timings.renewMs

  return {
    timings,
    get boot() { return `${name}.${life}` },
    get held() { return held },
    isArmed: (vm) => held && armed.has(vm),
    ageMs: () => (held ? sinceRenewalMs() : Infinity),
    async arm({ uuid }) {
      const of = life
      if (!down && !held) await put()
      if (down || of !== life) throw KALI.LEASE_LOST({ node: name, reason: 'the simulated machine is down' })
      armed.add(uuid)
      tell(true)
    },
    async disarm(vm) {
      if (!armed.delete(vm) || armed.size > 0 || down) return
      tell(false)
      drop()
    },
    onChange(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
    crash() {
      if (down) return
      const leftMs = timings.leaseMs - sinceRenewalMs(), stands = held
      down = true
      armed.clear()
      tell(false)
      if (stands) expiry = clock.after(leftMs, drop)
    },
    revive() {
      down = false
      life++
    },
    async stop() { expiry?.cancel() },
  }
}
