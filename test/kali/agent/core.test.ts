// The agent's core: single situations as a table, and a model in which anything may happen, whose promises are checked at
// every step and which, left alone, comes to be what is wanted.

import t from 'tap'
import { fc } from '../../support/property.ts'
import { decide, endOf } from '../../../kali/agent/agent-core.ts'
import { backoffMs, learn, observe } from '../../../kali/agent/memory.ts'
import { standingOf } from '../../../kali/agent/standing.ts'
import type { Armed, Memory, Seen, Step } from '../../../kali/agent/steps.ts'
import type { IntentRecord, StatusRecord } from '../../../kali/cloud/contract.ts'
import type { AgentDomain } from '../../../kali/cloud/parts.ts'
import { triesNow, withTry } from '../../../kali/cloud/tries.ts'

const HERE = 'machine-here', THERE = 'machine-there', VM = 'vm-1'
const place = (uuid: string): NonNullable<IntentRecord['machine']> => ({ uuid, name: uuid, node: 'ff' })
const WINDOW_MS = 60_000
const SETTINGS = { name: 'v', memoryMiB: 64, vcpus: 1, devices: [] }
const PROTECTION: NonNullable<IntentRecord['protection']> = { restarts: 1, relocations: 1, windowMs: WINDOW_MS, onGuestShutdown: 'leave', priority: 0, armed: false }
const ARMED = { ...PROTECTION, armed: true }

const intentOf = (over: Partial<IntentRecord> = {}): IntentRecord & { readonly revision: number } => ({
  uuid: VM, name: 'v', pool: 'p', account: 'me', desired: 'running', machine: place(HERE), epoch: 2, origin: 'create', settings: SETTINGS, booked: true,
  tries: { restarts: 0, relocations: 0, sinceMs: 0 }, decision: 'd1', decidedBy: 'me', decidedAtMs: 0, reason: '', revision: 1, ...over,
})
const domainOf = (over: Partial<AgentDomain> = {}): AgentDomain => ({ uuid: VM, name: 'v', state: 'running', reason: 'booted', settings: SETTINGS, epoch: 2, cpuRatio: 0, ...over })
const statusOf = (phase: StatusRecord['phase'], over: Partial<StatusRecord> = {}): StatusRecord => ({ uuid: VM, machine: HERE, epoch: 2, phase, sinceMs: 0, attempts: 0, ...over })
const seenOf = (over: Partial<Seen> = {}): Seen => ({ self: HERE, connected: true, intent: intentOf(), domain: undefined, status: undefined, group: undefined, held: false, armed: undefined, sameSettings: true, nowMs: 1_000_000, wallMs: 0, ...over })
const CRASHED = domainOf({ state: 'crashed', reason: 'crashed' })

t.test('one situation, one step', async (t) => {
  const rows: readonly (readonly [what: string, seen: Partial<Seen>, step: Partial<Step>, phase?: StatusRecord['phase'], memory?: Partial<Memory>])[] = [
    ['new: made', {}, { do: 'create' }, 'creating'],
    ['made elsewhere before: on its disks', { intent: intentOf({ origin: 'restore' }) }, { do: 'restore' }, 'creating'],
    ['made here, and vanished: on its disks', { status: statusOf('running') }, { do: 'restore' }, 'creating'],
    ['the hypervisor is away: nothing is concluded', { connected: false }, { do: 'rest' }],
    ['another machine\'s, and not here', { intent: intentOf({ machine: place(THERE) }) }, { do: 'rest' }],
    ['nobody\'s intent, never the cloud\'s', { intent: undefined, domain: domainOf({ epoch: 0 }) }, { do: 'rest' }],
    ['nobody\'s intent, the cloud\'s once', { intent: undefined, domain: domainOf() }, { do: 'stamp', epoch: 0 }],
    ['adopted: its epoch is written', { intent: intentOf({ origin: 'present' }), domain: domainOf({ epoch: 0 }) }, { do: 'stamp', epoch: 2 }, 'running'],
    ['made, not started yet', { domain: domainOf({ state: 'stopped', reason: 'defined' }) }, { do: 'start', again: false }, 'starting'],
    ['runs', { domain: domainOf() }, { do: 'rest' }, 'running'],
    ['the hypervisor would start it by itself', { domain: domainOf({ settings: { ...SETTINGS, autostart: true } }) }, { do: 'stamp', epoch: 2 }, 'running'],
    ['has other settings', { domain: domainOf(), sameSettings: false }, { do: 'keep-settings' }, 'running'],
    ['crashed', { domain: CRASHED, status: statusOf('running') }, { do: 'start', again: true }, 'starting'],
    ['went down with its host', { domain: domainOf({ state: 'stopped', reason: 'unknown' }), status: statusOf('running') }, { do: 'start', again: true }, 'starting'],
    ['was saved', { domain: domainOf({ state: 'saved', reason: 'saved' }), status: statusOf('running') }, { do: 'start', again: false }, 'starting'],
    ['its guest shut down', { domain: domainOf({ state: 'stopped', reason: 'shutdown' }), status: statusOf('running') }, { do: 'leave' }],
    ['its guest shut down, and is to be started again', { intent: intentOf({ protection: { ...ARMED, onGuestShutdown: 'restart' } }), domain: domainOf({ state: 'stopped', reason: 'shutdown' }), status: statusOf('running'), armed: {}, held: true }, { do: 'start', again: true }, 'starting'],
    ['a user started it after its guest had shut down', { domain: domainOf({ state: 'stopped', reason: 'shutdown' }), status: statusOf('shut-down') }, { do: 'start', again: false }, 'starting'],
    ['to be stopped', { intent: intentOf({ desired: 'stopped' }), domain: domainOf() }, { do: 'stop' }, 'stopping'],
    ['asked in vain', { intent: intentOf({ desired: 'stopped' }), domain: domainOf() }, { do: 'destroy' }, 'stopping', { pauses: 1 }],
    ['stopped', { intent: intentOf({ desired: 'stopped' }), domain: domainOf({ state: 'stopped', reason: 'shutdown' }) }, { do: 'rest' }, 'stopped'],
    ['to be gone: stopped first', { intent: intentOf({ desired: 'absent' }), domain: domainOf() }, { do: 'stop' }, 'stopping'],
    ['to be gone: with its disks', { intent: intentOf({ desired: 'absent' }), domain: domainOf({ state: 'stopped' }) }, { do: 'remove', keepDisks: false }, 'stopping'],
    ['gone', { intent: intentOf({ desired: 'absent' }) }, { do: 'forget' }],
    ['stale and running', { intent: intentOf({ machine: place(THERE), origin: 'restore' }), domain: domainOf({ epoch: 1 }) }, { do: 'destroy' }],
    ['stale, off, still armed', { intent: intentOf({ machine: place(THERE), origin: 'restore' }), domain: domainOf({ epoch: 1, state: 'stopped' }), armed: {} }, { do: 'disarm' }],
    ['stale and off', { intent: intentOf({ machine: place(THERE), origin: 'restore' }), domain: domainOf({ epoch: 1, state: 'stopped' }) }, { do: 'remove', keepDisks: true }],
    ['stale, of this machine in an older life', { intent: intentOf({ origin: 'restore' }), domain: domainOf({ epoch: 1 }) }, { do: 'destroy' }],
    ['the same copy, shown with an old epoch by a snapshot', { intent: intentOf({ origin: 'restore' }), domain: domainOf({ epoch: 1 }) }, { do: 'stamp', epoch: 2 }, 'running', { here: true }],
    ['newer than what is known here', { intent: intentOf({ machine: place(THERE) }), domain: domainOf({ epoch: 3 }) }, { do: 'rest' }],
    ['is to migrate', { intent: intentOf({ machine: place(THERE), origin: 'migrate' }), domain: domainOf({ epoch: 1 }) }, { do: 'migrate' }],
    ['is to migrate, an older copy', { intent: intentOf({ machine: place(THERE), origin: 'migrate', epoch: 4 }), domain: domainOf({ epoch: 1 }) }, { do: 'destroy' }],
    ['has migrated, and is still here', { intent: intentOf({ machine: place(THERE), origin: 'migrate' }), status: statusOf('running', { machine: THERE }), domain: domainOf({ epoch: 1, state: 'paused' }) }, { do: 'destroy' }],
    ['on its way here', { intent: intentOf({ origin: 'migrate' }), nowMs: 1_000 }, { do: 'rest' }, 'migrating'],
    ['late', { intent: intentOf({ origin: 'migrate' }), nowMs: 5_000_000 }, { do: 'rest' }, 'failed'],
    ['arrived', { intent: intentOf({ origin: 'migrate' }), domain: domainOf({ epoch: 1 }) }, { do: 'stamp', epoch: 2 }, 'running'],
    ['protected: armed before its start', { intent: intentOf({ protection: PROTECTION }), domain: domainOf({ state: 'stopped', reason: 'defined' }) }, { do: 'arm' }, 'starting'],
    ['protected: the intent says so before its start', { intent: intentOf({ protection: PROTECTION }), domain: domainOf({ state: 'stopped', reason: 'defined' }), armed: {}, held: true }, { do: 'confirm' }, 'starting'],
    ['protected and armed, the lease lost since', { intent: intentOf({ protection: ARMED }), domain: domainOf({ state: 'stopped', reason: 'defined' }), armed: {} }, { do: 'arm' }, 'starting'],
    ['protected, armed, held', { intent: intentOf({ protection: ARMED }), domain: domainOf({ state: 'stopped', reason: 'defined' }), armed: {}, held: true }, { do: 'start', again: false }, 'starting'],
    ['protected and crashed: counted first', { intent: intentOf({ protection: ARMED }), domain: CRASHED, status: statusOf('running'), armed: {}, held: true }, { do: 'count' }, 'starting'],
    ['protected and crashed: counted', { intent: intentOf({ protection: ARMED }), domain: CRASHED, status: statusOf('running'), armed: {}, held: true }, { do: 'start', again: true }, 'starting', { counted: true }],
    ['protected and crashed: no try left', { intent: intentOf({ protection: ARMED, tries: { restarts: 1, relocations: 0, sinceMs: 0 } }), domain: CRASHED, status: statusOf('running') }, { do: 'rest' }, 'crashed'],
    ['protected, crashed, no try left, and the agent has forgotten', { intent: intentOf({ protection: ARMED, tries: { restarts: 1, relocations: 0, sinceMs: 0 } }), domain: CRASHED, status: statusOf('crashed') }, { do: 'rest' }, 'crashed'],
    ['protected and crashed, tries of a window that is over', { intent: intentOf({ protection: ARMED, tries: { restarts: 1, relocations: 1, sinceMs: 0 } }), domain: CRASHED, status: statusOf('running'), armed: {}, held: true, wallMs: WINDOW_MS + 1 }, { do: 'count' }, 'starting'],
    ['promised to the policy: a window that ends breaks no promise', { intent: intentOf({ protection: ARMED, tries: { restarts: 1, relocations: 0, sinceMs: 0 } }), domain: CRASHED, status: statusOf('crashed'), armed: {}, held: true, wallMs: WINDOW_MS + 1 }, { do: 'disarm' }, 'crashed'],
    ['taken out of the pool and added again at once: marked anew', { intent: intentOf({ origin: 'present', epoch: 1 }), domain: domainOf({ epoch: 3 }) }, { do: 'stamp', epoch: 1 }, 'running'],
    ['... not on another machine\'s word', { intent: intentOf({ origin: 'present', epoch: 1, machine: place(THERE) }), domain: domainOf({ epoch: 3 }) }, { do: 'rest' }],
    ['protected, runs with another emulator', { intent: intentOf({ protection: ARMED }), domain: domainOf({ pid: 7 }), armed: { pid: 6 }, held: true }, { do: 'arm', pid: 7 }, 'running'],
    ['protected no more', { domain: domainOf(), armed: { pid: 6 }, held: true }, { do: 'disarm' }, 'running'],
    ['protected, tries used, has run for the window', { intent: intentOf({ protection: ARMED, tries: { restarts: 1, relocations: 0, sinceMs: 0 } }), domain: domainOf(), armed: {}, held: true }, { do: 'reset-tries' }, 'running', { ran: true, runningSinceMs: 900_000 }],
    ['protected, cannot be started: swept first', { intent: intentOf({ protection: ARMED }), domain: CRASHED }, { do: 'destroy' }, 'failed', { failures: 3 }],
    ['protected, cannot be started', { intent: intentOf({ protection: ARMED }), domain: CRASHED }, { do: 'rest' }, 'crashed', { failures: 3, swept: true }],
    ['not protected, cannot be started: a human\'s', { domain: CRASHED }, { do: 'give-up' }, 'crashed', { failures: 20 }],
    ['given up', { intent: intentOf({ error: 'no' }), domain: CRASHED }, { do: 'rest' }, 'crashed'],
    ['fenced: started again without being counted', { intent: intentOf({ protection: ARMED }), domain: domainOf({ state: 'stopped', reason: 'destroyed' }), status: statusOf('running'), armed: {}, held: true }, { do: 'start', again: false }, 'starting', { fenced: true }],
  ]
  for (const [what, over, step, phase, memory] of rows) {
    const seen = seenOf(over)
    const before = memory === undefined ? undefined : { ...observe(undefined, { ...seen, domain: undefined, nowMs: 0 }), ...memory }
    const decision = decide(seen, observe(before ?? observe(undefined, { ...seen, nowMs: 0, domain: undefined }), seen))
    t.match(decision.step, step, what)
    t.equal(decision.report?.phase, phase, `${what}: what others see`)
  }
})

t.test('a restart waits longer the sooner it ends again, and begins anew when somebody decides', async (t) => {
  let seen = seenOf({ domain: CRASHED, status: statusOf('running') })
  let memory = observe(undefined, seen)
  const waits: number[] = []
  for (let i = 0; i < 4; i++) {
    memory = observe(memory, seen)
    let decision = decide(seen, memory)
    if (decision.step.do === 'rest') {
      waits.push((decision.step.atMs ?? NaN) - seen.nowMs)
      seen = { ...seen, nowMs: decision.step.atMs ?? NaN }
      decision = decide(seen, memory)
    }
    t.same(decision.step, { do: 'start', again: true })
    memory = learn(memory, decision.step, { ok: true }, seen.nowMs)
  }
  t.same(waits, [1_000, 2_000, 4_000])
  memory = observe(memory, { ...seen, intent: intentOf({ decision: 'd2' }) })
  t.same(decide({ ...seen, intent: intentOf({ decision: 'd2' }) }, memory).step, { do: 'start', again: false })
})

t.test('one death is counted once, also when the hypervisor notices it only after the restart was tried', async (t) => {
  const crashed = seenOf({ intent: intentOf({ protection: ARMED }), domain: CRASHED, status: statusOf('running'), armed: {}, held: true })
  const counted = { ...crashed, intent: intentOf({ protection: ARMED, tries: { restarts: 1, relocations: 0, sinceMs: 0 } }) }
  let memory = observe(undefined, crashed)
  t.same(decide(crashed, memory).step, { do: 'count' })
  memory = learn(memory, { do: 'count' }, { ok: true }, 1_000_000)
  memory = learn(memory, { do: 'start', again: true }, { ok: false, error: 'not noticed', counts: true }, 1_000_000)
  memory = observe(memory, { ...counted, domain: domainOf(), nowMs: 1_000_100 })
  const noticed = { ...counted, nowMs: 1_002_000 }
  memory = observe(memory, noticed)
  t.same(decide(noticed, memory).step, { do: 'start', again: true })
  memory = learn(memory, { do: 'start', again: true }, { ok: true }, 1_002_000)
  t.same(decide(noticed, observe(memory, noticed)).report?.phase, 'crashed', 'the next one finds no try left')
})

t.test('back-off doubles up to a minute', async (t) => {
  t.same([0, 1, 2, 3, 6, 7, 50].map(backoffMs), [0, 1_000, 2_000, 4_000, 32_000, 60_000, 60_000])
})

t.test('why it ended', async (t) => {
  t.equal(endOf({ state: 'stopped', reason: 'shutdown' }), 'shut-down')
  for (const reason of ['destroyed', 'failed', 'crashed', 'unknown', 'defined']) t.equal(endOf({ state: 'stopped', reason }), 'crashed', reason)
  t.equal(endOf({ state: 'crashed', reason: 'emulator ended: SIGKILL' }), 'crashed')
})

// ---------------------------------------------------------------- a model in which anything may happen

interface World {
  intent: ReturnType<typeof intentOf> | undefined
  domain: AgentDomain | undefined
  status: StatusRecord | undefined
  held: boolean
  armed: Armed | undefined
  memory: Memory | undefined
  nowMs: number
  sameSettings: boolean
  /** 'crashed' was reported in this revision: nothing may be started. */
  promised: number | undefined
  decisions: number
}
type Event = 'fail' | 'crash' | 'guest-shutdown' | 'destroyed' | 'vanish' | 'stop' | 'run' | 'absent' | 'move' | 'migrate' | 'lose-lease' | 'gain-lease' | 'protect' | 'unprotect' | 'forget-memory' | 'settings' | 'wait' | 'none'
const EVENTS: readonly Event[] = ['fail', 'crash', 'guest-shutdown', 'destroyed', 'vanish', 'stop', 'run', 'absent', 'move', 'migrate', 'lose-lease', 'gain-lease', 'protect', 'unprotect', 'forget-memory', 'settings', 'wait', 'none']

const isActive = (domain: AgentDomain | undefined): boolean => domain !== undefined && (domain.state === 'running' || domain.state === 'paused')

function happen(world: World, event: Event): void {
  const { intent, domain } = world
  const decide = (over: Partial<IntentRecord>): void => {
    if (intent !== undefined) world.intent = { ...intent, ...over, decision: `d${++world.decisions}`, decidedBy: 'me', revision: intent.revision + 1 }
  }
  const end = (state: AgentDomain['state'], reason: string): void => {
    if (domain === undefined || !isActive(domain)) return
    const { pid: _, ...rest } = domain
    world.domain = { ...rest, state, reason }
  }
  switch (event) {
    case 'crash': end('crashed', 'crashed'); break
    case 'guest-shutdown': end('stopped', 'shutdown'); break
    case 'destroyed': end('stopped', 'destroyed'); break
    case 'vanish': if (!isActive(domain)) world.domain = undefined; break
    case 'stop': decide({ desired: 'stopped', booked: false }); break
    case 'run': if (intent !== undefined) { const { error: _, ...rest } = intent; world.intent = rest; decide({ desired: 'running', booked: true }); world.intent = { ...rest, desired: 'running', decision: `d${world.decisions}`, decidedBy: 'me', revision: intent.revision + 1 } } break
    case 'absent': decide({ desired: 'absent', booked: false }); break
    case 'move': decide({ machine: place(intent?.machine?.uuid === HERE ? THERE : HERE), epoch: (intent?.epoch ?? 0) + 1, origin: 'restore', ...intent?.protection === undefined ? {} : { protection: PROTECTION } }); break
    case 'migrate': if (intent?.machine?.uuid === HERE && domain?.epoch === intent.epoch) decide({ machine: place(THERE), epoch: intent.epoch + 1, origin: 'migrate' }); break
    // As the agent's edge does it: what runs protected is destroyed.
    case 'lose-lease':
      world.held = false
      world.armed = undefined
      if (intent?.protection !== undefined) { end('stopped', 'destroyed'); if (world.memory !== undefined) world.memory = { ...world.memory, fenced: true } }
      break
    case 'gain-lease': world.held = true; break
    case 'protect': if (intent?.protection === undefined) decide({ protection: PROTECTION }); break
    case 'unprotect': if (intent?.protection !== undefined) { const { protection: _, ...rest } = intent; world.intent = rest; world.intent = { ...rest, decision: `d${++world.decisions}`, revision: intent.revision + 1 } } break
    case 'forget-memory': world.memory = undefined; world.armed = undefined; break
    case 'settings': world.sameSettings = false; break
    case 'wait': world.nowMs += 30_000; break
    case 'fail': case 'none': break
  }
}

/** What the hypervisor, the book and the lease make of a step. */
function carryOut(world: World, step: Step): void {
  const { intent, domain } = world
  const write = (over: Partial<IntentRecord>): void => { if (intent !== undefined) world.intent = { ...intent, ...over, revision: intent.revision + 1 } }
  switch (step.do) {
    case 'create': case 'restore': world.domain = domainOf({ state: 'stopped', reason: 'defined', epoch: intent?.epoch ?? 0 }); world.sameSettings = false; break
    case 'stamp': if (domain !== undefined) { const { epoch: _, ...rest } = domain; world.domain = step.epoch > 0 ? { ...rest, epoch: step.epoch } : rest } break
    case 'arm': world.armed = step.pid === undefined ? {} : { pid: step.pid }; break
    case 'disarm': world.armed = undefined; break
    case 'confirm': if (intent?.protection !== undefined) write({ protection: ARMED }); break
    case 'count': if (intent !== undefined) write({ tries: withTry(intent.tries, 'restarts', WINDOW_MS, world.nowMs), decision: `a${++world.decisions}`, decidedBy: 'system:agent' }); break
    case 'start': if (domain !== undefined) world.domain = { ...domain, state: 'running', reason: 'booted', pid: world.nowMs % 30_000 + 1 }; break
    case 'stop': case 'destroy': if (isActive(domain)) happen(world, step.do === 'stop' ? 'guest-shutdown' : 'destroyed'); break
    case 'remove': world.domain = undefined; break
    case 'forget': world.intent = undefined; world.status = undefined; break
    case 'migrate': world.domain = undefined; break
    case 'leave': write({ desired: 'stopped', booked: false, decision: `a${++world.decisions}`, decidedBy: 'guest' }); break
    case 'give-up': write({ error: step.error, decision: `a${++world.decisions}`, decidedBy: 'system:agent' }); break
    case 'keep-settings': world.sameSettings = true; break
    case 'reset-tries': write({ tries: { restarts: 0, relocations: 0, sinceMs: 0 } }); break
    case 'listen': case 'rest': break
  }
}

function round(world: World, fails: boolean): Step {
  const { intent, domain, status, held, armed, sameSettings, nowMs } = world
  const seen: Seen = { self: HERE, connected: true, intent, domain, status, group: undefined, held, armed, sameSettings, nowMs, wallMs: nowMs }
  world.memory = observe(world.memory, seen)
  const { step, report } = decide(seen, world.memory)
  if (report !== undefined && intent !== undefined) world.status = statusOf(report.phase, { epoch: intent.epoch })
  if (intent !== undefined && (report?.phase === 'crashed')) world.promised = intent.revision
  promises(world, step)
  if (step.do === 'rest') { world.nowMs = Math.max(world.nowMs + 1, Math.min(step.atMs ?? 0, world.nowMs + 60_000)); return step }
  const failed = fails || (step.do === 'arm' && !held)
  if (!failed) carryOut(world, step)
  world.memory = learn(world.memory, step, failed ? { ok: false, error: 'it failed', counts: true } : { ok: true }, world.nowMs)
  world.nowMs += 10
  return step
}

function promises({ intent, domain, held, armed, status, promised, nowMs }: World, step: Step): void {
  const fail = (what: string): never => { throw new Error(`${what}: ${JSON.stringify({ step, intent, domain, held, armed, status })}`) }
  const mine = intent?.machine?.uuid === HERE
  if (step.do === 'start') {
    if (!mine || intent.desired !== 'running' || intent.error !== undefined) fail('started what is not wanted here')
    if (domain?.epoch !== intent?.epoch) fail('started a stale copy')
    if (intent?.protection !== undefined && !(held && armed !== undefined && intent.protection.armed)) fail('started without a lease')
    if (isActive(domain)) fail('started twice')
    if (promised !== undefined && promised === intent?.revision) fail('broke the promise to leave it to the HA policy')
  }
  if (step.do === 'count' && (intent?.protection === undefined || triesNow(intent.tries, WINDOW_MS, nowMs).restarts >= intent.protection.restarts)) fail('counted a restart that there is not')
  if ((step.do === 'create' || step.do === 'restore') && (domain !== undefined || !mine)) fail('made twice')
  if (step.do === 'remove' && !step.keepDisks && (intent?.desired !== 'absent' || !mine || standingOf(domain ?? domainOf(), intent, status, HERE) !== 'ours')) fail('removed disks that are wanted')
  if (step.do === 'remove' && isActive(domain)) fail('removed what runs')
}

t.test('whatever happens, no promise is broken; left alone, it comes to be what is wanted', async (t) => {
  const start = fc.record({
    origin: fc.constantFrom<IntentRecord['origin']>('present', 'create', 'restore', 'migrate'), protection: fc.constantFrom(undefined, PROTECTION, ARMED),
    desired: fc.constantFrom<IntentRecord['desired']>('running', 'stopped', 'absent'), machine: fc.constantFrom(HERE, THERE), held: fc.boolean(),
    domain: fc.option(fc.record({ state: fc.constantFrom<AgentDomain['state']>('running', 'stopped', 'crashed', 'saved', 'paused'), epoch: fc.constantFrom(0, 1, 2) }), { nil: undefined }),
  })
  fc.assert(fc.property(start, fc.array(fc.constantFrom(...EVENTS), { maxLength: 60 }), (from, events) => {
    const { protection, domain } = from
    const world: World = {
      intent: intentOf({ origin: from.origin, desired: from.desired, machine: place(from.machine), ...protection === undefined ? {} : { protection } }),
      domain: domain === undefined ? undefined : domainOf({ ...domain, reason: 'booted' }), status: undefined, held: from.held, armed: undefined, memory: undefined, nowMs: 0, sameSettings: true, promised: undefined, decisions: 1,
    }
    for (const event of events) {
      happen(world, event)
      round(world, event === 'fail')
    }
    world.held = true
    for (let i = 0; i < 400; i++) round(world, false)
    const { intent, domain: left, status, armed } = world
    const wrong = (what: string): never => { throw new Error(`${what}: ${JSON.stringify({ intent, left, status, memory: world.memory, armed })}`) }
    if (intent === undefined || intent.machine?.uuid !== HERE) {
      if (intent !== undefined && left !== undefined && (left.epoch ?? 0) <= intent.epoch) wrong('a copy is left of another machine\'s')
      if (armed !== undefined) wrong('the lease is held for nothing')
      return
    }
    // What is on its way here never comes in this model.
    if (left === undefined && intent.origin === 'migrate') return
    if (intent.desired === 'absent') wrong('it is not gone')
    if (intent.desired === 'stopped' && (left === undefined || isActive(left) || armed !== undefined)) wrong('it is not off')
    if (intent.desired === 'running' && !isActive(left) && status?.phase !== 'crashed') wrong('it does not run, and nobody is told')
    if (isActive(left) && intent.desired === 'running' && (intent.protection !== undefined) !== (armed !== undefined)) wrong('it runs, and is not guarded as it should be')
  }), { numRuns: 3_000 })
  t.pass('3,000 runs')
})
