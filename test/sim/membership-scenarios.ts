// Scenarios for the membership simulation. Each takes a seed and gives a result with its violations:
// an empty list is a pass. Bounds are stated here and nowhere else.

import { isLive } from '../../fabric/membership/record.ts'
import { World } from './membership-world.ts'
import type { Node } from './membership-world.ts'

/** Stated bounds, virtual milliseconds. */
export const BOUNDS = {
  /** Killed process, known to all. */
  crashMs: 2_000,
  /** Silent host, known to all, up to 1,000 members. */
  silenceMs: 5_000,
  leaveMs: 1_000,
  /** From the end of a partition to one view. */
  healMs: 10_000,
  /** From the start of 50 simultaneous joins through one seed to one view. */
  joinMs: 10_000,
  /** From the end of random faults (with nodes restarting) to one view. */
  settleMs: 20_000,
} as const

export interface Result {
  readonly scenario: string
  readonly seed: number
  readonly members: number
  readonly figures: Readonly<Record<string, number>>
  readonly violations: readonly string[]
  readonly traceHash: number
  readonly virtualMs: number
}

/** Rules that hold in every run: nobody returns from the dead, and nobody is cleared, without a higher incarnation. */
export function eventViolations(world: World): string[] {
  const violations: string[] = []
  const last = new Map<string, { type: string; incarnation: number }>()
  for (const event of world.seen) {
    const key = `${event.at}.${event.life}/${event.about}`
    const before = last.get(key)
    const after = `n${event.at} saw n${event.about} ${event.type}@${event.incarnation} at ${event.atMs.toFixed(0)} ms after ${before?.type}@${before?.incarnation}`
    if (before !== undefined && (before.type === 'died' || before.type === 'left') && event.incarnation <= before.incarnation) violations.push(`returned: ${after}`)
    if (event.type === 'refuted' && before !== undefined && event.incarnation <= before.incarnation) violations.push(`refuted: ${after}`)
    if (event.type !== 'updated') last.set(key, event)
  }
  return violations
}

function result(scenario: string, world: World, seed: number, figures: Record<string, number>, violations: string[]): Result {
  return { scenario, seed, members: world.nodes.length, figures, violations: [...violations, ...eventViolations(world)], traceHash: world.traceHash, virtualMs: world.nowMs }
}

/** A world of `members` that are one view and have their links. */
export function settled(seed: number, members: number, loss = 0, throughCodec = false): World {
  const world = new World({ seed, throughCodec })
  world.converged(members)
  world.runFor(4_000)
  world.loss = loss
  return world
}

const wrongDeaths = (world: World, sinceMs: number): number => world.died(sinceMs).filter((event) => world.nodes[event.about]?.up === true).length
const any = (world: World): Node => world.nodes[world.random.int(world.nodes.length)] as Node
const late = (what: string, ms: number, boundMs: number): string[] => (ms <= boundMs ? [] : [`${what} took ${ms.toFixed(0)} ms, more than ${boundMs}`])

/** Runs until everybody knows that `victim` is in `state`; gives the milliseconds it took. */
function untilKnown(world: World, victim: Node, state: 'dead' | 'left'): number {
  const startMs = world.nowMs
  world.runFor(60_000, () => world.allKnow(victim, (record) => record?.state === state))
  return world.nowMs - startMs
}

export function crash(seed: number, members: number, kind: 'kill' | 'powerOff', loss = 0): Result {
  const world = settled(seed, members, loss)
  world.runFor(1_000 * world.random.next())
  const victim = any(world)
  const startMs = world.nowMs
  world[kind](victim)
  const knownMs = untilKnown(world, victim, 'dead')
  const wrong = wrongDeaths(world, startMs)
  const boundMs = kind === 'kill' ? BOUNDS.crashMs : BOUNDS.silenceMs
  return result(kind, world, seed, { knownMs, wrongDeaths: wrong },
    [...(loss === 0 ? late(`news of the ${kind}`, knownMs, boundMs) : []), ...(wrong > 0 ? [`${wrong} wrong deaths`] : [])])
}

export function leave(seed: number, members: number): Result {
  const world = settled(seed, members)
  const victim = any(world)
  world.leave(victim)
  const knownMs = untilKnown(world, victim, 'left')
  const wrong = wrongDeaths(world, 0)
  return result('leave', world, seed, { knownMs, wrongDeaths: wrong }, [...late('news of the leave', knownMs, BOUNDS.leaveMs), ...(wrong > 0 ? [`${wrong} wrong deaths`] : [])])
}

/** Loss, and one node whose event loop stalls 2 s at a time: nobody may be declared dead. */
export function quiet(seed: number, members: number, virtualMs: number, loss: number, stallMs: number): Result {
  const world = settled(seed, members, loss)
  const startMs = world.nowMs
  const staller = any(world)
  const again = (): void => {
    world.stall(staller, stallMs)
    world.at(stallMs + 500 + 3_000 * world.random.next(), again)
  }
  if (stallMs > 0) again()
  world.runFor(virtualMs)
  const deaths = world.died(startMs).length
  const suspicions = world.seen.filter((event) => event.type === 'suspected').length
  world.loss = 0
  return result('quiet', world, seed, { falseDeaths: deaths, suspicionsSeen: suspicions }, deaths > 0 ? [`${deaths} false deaths`] : [])
}

/** Lifeguard's bench: `stalled` members stop for `stallMs` every `everyMs`; deaths are counted by where they were declared. */
export function storm(seed: number, members: number, stalled: number, stallMs: number, everyMs: number, virtualMs: number): Result {
  const world = settled(seed, members)
  const startMs = world.nowMs
  const slow = new Set(world.nodes.slice(0, stalled))
  for (const node of slow) {
    const again = (): void => { world.stall(node, stallMs); world.at(everyMs, again) }
    world.at(everyMs * world.random.next(), again)
  }
  world.runFor(virtualMs)
  const deaths = world.died(startMs)
  const isSlow = (index: number): boolean => slow.has(world.nodes[index] as Node)
  const healthyVictims = deaths.filter((event) => !isSlow(event.about))
  const figures = {
    healthyCalledDeadAtHealthy: healthyVictims.filter((event) => !isSlow(event.at)).length,
    healthyCalledDeadAtStalled: healthyVictims.filter((event) => isSlow(event.at)).length,
    stalledCalledDead: deaths.length - healthyVictims.length,
  }
  return result('storm', world, seed, figures, healthyVictims.length > 0 ? [`${healthyVictims.length} healthy members declared dead`] : [])
}

export type Cut = 'halves' | 'one-way' | 'bridge'

/** A cut of `cutMs`, then heal. One-way and bridge cuts leave other paths: nobody may die of them. */
export function partition(seed: number, members: number, cut: Cut, cutMs: number): Result {
  const world = settled(seed, members)
  const half = members >> 1, startMs = world.nowMs
  const side = (index: number): number => (index < half ? 0 : 1)
  const one = world.random.int(members), other = (one + 1 + world.random.int(members - 1)) % members
  if (cut === 'halves') world.cut = (a, b) => side(a) !== side(b)
  if (cut === 'one-way') world.cut = (a, b) => a === one && b === other
  // Everybody sees member 0, but the two sides do not see each other.
  if (cut === 'bridge') world.cut = (a, b) => a !== 0 && b !== 0 && side(a) !== side(b)
  world.cutChanged()
  world.runFor(cutMs)
  const deaths = wrongDeaths(world, startMs)
  world.cut = () => false
  world.cutChanged()
  const healStartMs = world.nowMs
  const healed = world.runFor(60_000, () => world.isOneView())
  const healMs = world.nowMs - healStartMs
  return result(`partition-${cut}`, world, seed, { healMs, deathsInside: deaths }, [
    ...(healed ? [] : ['no one view a minute after the heal']), ...late('healing', healMs, BOUNDS.healMs),
    ...(cut === 'one-way' && deaths > 0 ? [`${deaths} deaths although other paths were open`] : []),
  ])
}

export function joins(seed: number, members: number): Result {
  const world = new World({ seed })
  for (let i = 0; i < members; i++) world.add()
  const founder = world.nodes[0] as Node
  world.boot(founder, [])
  world.runFor(1_000)
  const startMs = world.nowMs
  for (const node of world.nodes.slice(1)) world.boot(node, [founder])
  const joined = world.runFor(60_000, () => world.isOneView())
  const joinMs = world.nowMs - startMs
  const deaths = world.died().length
  return result('joins', world, seed, { joinMs, deaths }, [...(joined ? [] : ['no one view after a minute']), ...late('joining', joinMs, BOUNDS.joinMs), ...(deaths > 0 ? [`${deaths} deaths`] : [])])
}

/** One node is killed and restarted with the same key, again and again, then stays. */
export function flapping(seed: number, members: number, rounds: number): Result {
  const world = settled(seed, members)
  const flapper = any(world)
  const seedNode = world.nodes.find((node) => node !== flapper) as Node
  for (let round = 0; round < rounds; round++) {
    world.kill(flapper)
    world.runFor(3_000 * world.random.next())
    world.boot(flapper, [seedNode])
    world.runFor(3_000 * world.random.next())
  }
  const startMs = world.nowMs
  const ok = world.runFor(60_000, () => world.isOneView())
  return result('flapping', world, seed, { settleMs: world.nowMs - startMs }, [...(ok ? [] : ['no one view']), ...late('settling', world.nowMs - startMs, BOUNDS.settleMs)])
}

/** Random faults for `faultMs`, then everything is mended and one view must come. */
export function chaos(seed: number, members: number, faultMs: number, throughCodec = false): Result {
  const world = settled(seed, members, 0, throughCodec)
  const { random } = world
  world.loss = [0, 0.01, 0.05, 0.2][random.int(4)] as number
  const endMs = world.nowMs + faultMs
  const gone = new Set<Node>()
  while (world.nowMs < endMs) {
    fault(world, gone)
    world.runFor(4_000 * random.next())
  }
  world.loss = 0
  world.cut = () => false
  world.cutChanged()
  const anchor = world.running[0] ?? (world.nodes[0] as Node)
  for (const node of gone) world.boot(node, node === anchor ? [] : [anchor])
  const startMs = world.nowMs
  const ok = world.runFor(60_000, () => world.isOneView())
  const settleMs = world.nowMs - startMs
  return result('chaos', world, seed, { settleMs, queueMax: Math.max(...world.running.map((node) => node.core.dials.size)) },
    [...(ok ? [] : [`no one view: ${disagreement(world)}`]), ...late('settling', settleMs, BOUNDS.settleMs)])
}

function fault(world: World, gone: Set<Node>): void {
  const { random } = world
  const node = any(world)
  switch (random.int(8)) {
    case 0: if (node.up) { world.kill(node); gone.add(node) } return
    case 1: if (node.up) { world.powerOff(node); gone.add(node) } return
    case 2: case 3: return world.stall(node, 500 + 6_000 * random.next())
    case 4: if (node.up && node.core.phase === 'running') { world.leave(node); gone.add(node) } return
    case 5: {
      const group = new Set(world.nodes.filter(() => random.next() < 0.5).map((member) => member.index))
      const oneWay = random.next() < 0.3
      world.cut = (a, b) => (oneWay ? group.has(a) && !group.has(b) : group.has(a) !== group.has(b))
      return world.cutChanged()
    }
    case 6:
      world.cut = () => false
      return world.cutChanged()
    default: {
      const seedNode = world.running.find((member) => member !== node)
      if (!node.up && seedNode !== undefined) { world.boot(node, [seedNode]); gone.delete(node) }
    }
  }
}

/** Who is wrong about whom, for the report of a failure. */
export function disagreement(world: World): string {
  const lines: string[] = []
  for (const node of world.running) {
    for (const other of world.nodes) {
      const record = world.knows(node, other)
      const truth = other.up && other.core.phase === 'running'
      if (node !== other && truth !== (record !== undefined && isLive(record))) lines.push(`n${node.index} holds n${other.index} ${record?.state ?? 'unknown'}@${record?.incarnation}, it is ${truth ? 'up' : 'down'}`)
    }
  }
  return lines.slice(0, 6).join('; ')
}

/** Messages and bytes per member and second while nothing happens. */
export function traffic(seed: number, members: number): Result {
  const world = settled(seed, members)
  world.runFor(4_000)
  const sum = (of: (node: Node) => number): number => world.nodes.reduce((total, node) => total + of(node), 0)
  const messages = sum((node) => node.sentMessages), bytes = sum((node) => node.sentBytes)
  const spanMs = 20_000
  world.runFor(spanMs)
  const perSecond = (total: number): number => Math.round((100 * total) / members / (spanMs / 1_000)) / 100
  return result('traffic', world, seed, {
    messagesPerSecond: perSecond(sum((node) => node.sentMessages) - messages),
    bytesPerSecond: perSecond(sum((node) => node.sentBytes) - bytes),
    linksMax: Math.max(...world.nodes.map((node) => node.core.links.size)),
    log2: Math.round(100 * Math.log2(members)) / 100,
  }, [])
}
