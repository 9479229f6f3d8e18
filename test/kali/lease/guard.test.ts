// The guard over a small stand-in of view, book and lease: what becomes an intent, what may run.

import { test } from 'tap'
import { CodedError, errorCode } from '../../../fabric/base.ts'
import { createSimClock } from '../../../fabric/sim-clock.ts'
import type { CloudChange, IntentRecord, Stored } from '../../../kali/cloud/contract.ts'
import type { CloudBook } from '../../../kali/cloud/parts.ts'
import { createGuard } from '../../../kali/lease/guard.ts'
import { LIMITS } from '../../../fabric/limits.ts'
import { authority } from '../../support/rmo-fabric.ts'

const codeOf = (work: Promise<unknown>): Promise<string | undefined> => work.then(() => undefined, (error: unknown) => errorCode(error) ?? String(error))
const HERE = { uuid: 'm1', name: 'host1', node: '01' }, ELSEWHERE = { uuid: 'm2', name: 'host2', node: '02' }
const VM = { uuid: 'v', name: 'web' }
const INTENT: Stored<IntentRecord> = {
  uuid: 'v', name: 'web', pool: 'p', account: 'a', desired: 'running', machine: HERE, epoch: 3, origin: 'present', settings: { name: 'web', memoryMiB: 64, vcpus: 1, devices: [] }, booked: true,
  tries: { restarts: 1, relocations: 0, sinceMs: 5 }, decision: 'd', decidedBy: 'kali-ha', decidedAtMs: 5, reason: '', revision: 7,
}
const PROTECTION = { restarts: 1, relocations: 1, windowMs: 1, onGuestShutdown: 'leave', priority: 0, armed: true } as const

function bench(intent: Partial<IntentRecord> | undefined) {
  const clock = createSimClock()
  const listeners = new Set<(change: CloudChange) => void>()
  const state = { intent: intent === undefined ? undefined : { ...INTENT, ...intent } as Stored<IntentRecord>, held: true, armed: new Set<string>(['v']), reads: 0, away: false, writes: 0 }
  const set = (next: Partial<IntentRecord>): void => {
    state.intent = { ...INTENT, ...state.intent, ...next }
    for (const listener of [...listeners]) listener({ type: 'vm', key: 'v' })
  }
  const book: Pick<CloudBook, 'change' | 'read'> = {
    async change(_vm, change) {
      if (state.away) throw new CodedError('away', { code: 'FABRIC_ERR_STORE_UNREACHABLE' })
      const next = state.intent === undefined ? undefined : change(state.intent)
      if (next === undefined) return undefined
      state.writes++
      state.intent = { ...next, revision: 8 }
      return state.intent
    },
    async read() {
      state.reads++
      if (state.away) throw new CodedError('away', { code: 'FABRIC_ERR_STORE_UNREACHABLE' })
      return state.intent
    },
  }
  const guard = createGuard({
    view: { intent: () => state.intent, onChange(listener) { listeners.add(listener); return () => listeners.delete(listener) } },
    book, lease: { get held() { return state.held }, isArmed: (vm) => state.held && state.armed.has(vm) }, clock, bootClock: clock, machine: 'm1', name: 'host1',
  })
  return { guard, state, clock, set, listeners }
}
const agent = { ...authority(), principal: 'system:agent' }
const user = { ...authority(), principal: 'local:0', operation: 'op1' }

test('an ordinary VM passes at once, and costs the store nothing', async (t) => {
  const { guard, state } = bench(undefined)
  state.away = true
  t.ok((await guard.beforeRun(VM))())
  for (const verb of ['start', 'stop', 'destroy', 'save', 'remove', 'migrate'] as const) await guard.asked(VM, verb, user)
  t.same([state.reads, state.writes], [0, 0])
  t.equal(await codeOf(guard.beforeRun({ ...VM, epoch: 3 })), 'FABRIC_ERR_STORE_UNREACHABLE', 'one that was placed once is asked for')
  state.away = false
  t.ok((await guard.beforeRun({ ...VM, epoch: 3 }))(), 'and is its host\'s own when nobody manages it any more')
})

test('set going only here, in the present epoch, when it is wanted', async (t) => {
  const cases: readonly (readonly [Partial<IntentRecord>, { readonly epoch?: number; readonly arrives?: 'by-migration' }, string | undefined])[] = [
    [{}, { epoch: 3 }, undefined],
    [{}, { epoch: 2 }, 'KALI_ERR_EPOCH_STALE'],
    [{}, { epoch: 4 }, 'KALI_ERR_EPOCH_STALE'],
    [{}, {}, 'KALI_ERR_EPOCH_STALE'],
    [{ machine: ELSEWHERE }, { epoch: 3 }, 'KALI_ERR_EPOCH_STALE'],
    [{ desired: 'stopped' }, { epoch: 3 }, 'KALI_ERR_EPOCH_STALE'],
    [{ desired: 'absent' }, { epoch: 3 }, 'KALI_ERR_EPOCH_STALE'],
    [{}, { epoch: 2, arrives: 'by-migration' }, undefined],
    [{ machine: ELSEWHERE }, { epoch: 2, arrives: 'by-migration' }, 'KALI_ERR_EPOCH_STALE'],
    [{ protection: { ...PROTECTION, armed: false } }, { epoch: 2, arrives: 'by-migration' }, undefined],
    [{ protection: PROTECTION }, { epoch: 3 }, undefined],
  ]
  for (const [intent, vm, code] of cases) t.equal(await codeOf(bench(intent).guard.beforeRun({ ...VM, ...vm })), code, JSON.stringify([intent, vm]))
})

test('the answer counts for so long, and for a protected VM only while the lease is held', async (t) => {
  const plain = bench({})
  const still = await plain.guard.beforeRun({ ...VM, epoch: 3 })
  plain.state.held = false
  plain.clock.advance(LIMITS.guardAnswerMs - 1)
  t.ok(still())
  plain.clock.advance(1)
  t.notOk(still(), 'the node stood still')
  const it = bench({ protection: PROTECTION })
  const protectedStill = await it.guard.beforeRun({ ...VM, epoch: 3 })
  t.ok(protectedStill())
  it.state.held = false
  t.notOk(protectedStill())
})

test('a protected VM waits until the agent has armed it, and is refused when it does not', async (t) => {
  const it = bench({ protection: { ...PROTECTION, armed: false } })
  it.state.armed.clear()
  const starts = it.guard.beforeRun({ ...VM, epoch: 3 })
  await it.clock.settle(100)
  it.state.armed.add('v')
  it.set({ protection: PROTECTION })
  t.ok((await starts)())
  t.equal(it.listeners.size, 0)
  it.state.held = false
  const refused = codeOf(it.guard.beforeRun({ ...VM, epoch: 3 }))
  await it.clock.settle(LIMITS.guardArmTimeoutMs)
  t.equal(await refused, 'KALI_ERR_LEASE_LOST')
  t.equal(it.listeners.size, 0)
})

test('users\' verbs become intents before they are done; the agent\'s do not', async (t) => {
  for (const [verb, desired, booked] of [['stop', 'stopped', false], ['destroy', 'stopped', false], ['save', 'stopped', false], ['remove', 'absent', true]] as const) {
    const { guard, state } = bench({})
    await guard.asked(VM, verb, agent)
    t.equal(state.writes, 0)
    await guard.asked(VM, verb, user)
    t.match(state.intent, { desired, booked, decidedBy: 'local:0', decision: 'op1', epoch: 3, machine: HERE }, verb)
  }
  const { guard, state } = bench({ desired: 'stopped', booked: false, error: 'tries used up' })
  await guard.asked(VM, 'start', user)
  t.match(state.intent, { desired: 'running', booked: true, tries: { restarts: 0, relocations: 0 } })
  t.notOk('error' in state.intent!, 'a human begins anew')
  await guard.asked(VM, 'start', user)
  t.equal(state.writes, 1, 'said already')
  t.equal(await codeOf(guard.asked(VM, 'migrate', user)), 'KALI_ERR_MANAGED')
  await guard.asked(VM, 'migrate', agent)
})

test('an old copy may be ended, not started, and says nothing of the VM elsewhere', async (t) => {
  const { guard, state } = bench({ machine: ELSEWHERE })
  for (const verb of ['stop', 'destroy', 'remove'] as const) await guard.asked(VM, verb, user)
  t.equal(state.writes, 0)
  t.equal(await codeOf(guard.asked(VM, 'start', user)), 'KALI_ERR_EPOCH_STALE')
})

test('a store that does not answer: nothing is done behind its back', async (t) => {
  const { guard, state } = bench({})
  state.away = true
  t.equal(await codeOf(guard.asked(VM, 'stop', user)), 'FABRIC_ERR_STORE_UNREACHABLE')
  t.equal(await codeOf(guard.beforeRun({ ...VM, epoch: 3 })), 'FABRIC_ERR_STORE_UNREACHABLE')
})

test('a protected VM that was off is not armed from the moment it is wanted again', async (t) => {
  // Its host may have let go of its lease meanwhile: running, armed and without a lease is a lost host to a policy.
  const { guard, state } = bench({ desired: 'stopped', booked: false, protection: PROTECTION })
  await guard.asked(VM, 'start', user)
  t.same([state.intent?.desired, state.intent?.protection?.armed], ['running', false])
  await guard.asked(VM, 'start', user)
  t.equal(state.writes, 1, 'one that is wanted already is left as it is')
  state.intent = { ...INTENT, protection: PROTECTION }
  await guard.asked(VM, 'stop', user)
  t.equal(state.intent.protection?.armed, true, 'only what its host says takes it away from one that may still run')
})
