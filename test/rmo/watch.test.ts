import { test } from 'tap'
import { LIMITS, systemClock } from '../../fabric/base.ts'
import type { LocalMachine, MachineAttributes, MachineEvent, PhysicalMachine, Watch } from '../../rmo/mod.ts'
import { createEventQueue } from '../../rmo/event-queue.ts'
import { createTestFabric, must } from '../support/rmo-fabric.ts'

/** A machine whose samples the test makes. */
function samples() {
  const listeners = new Set<(attributes: MachineAttributes, atMs: number) => void>()
  let atMs = 1_000
  let arrived = (): void => {}
  const machine: Partial<LocalMachine> = {
    onSample(listener) { listeners.add(listener); arrived(); return () => { listeners.delete(listener) } },
  }
  return {
    machine, listeners,
    sample(cpuRatio: number) { atMs += 1_000; for (const listener of listeners) listener({ cpuRatio, memoryFreeBytes: 5, load1: 1 } as MachineAttributes, atMs) },
    /** Resolves when somebody listens. */
    watched: async (): Promise<void> => { while (listeners.size === 0) await new Promise<void>((resolve) => { arrived = resolve }) },
  }
}

const next = async (watch: Watch<MachineEvent>): Promise<MachineEvent> => must((await watch.next()).value as MachineEvent | undefined)

async function setup(t: { teardown(fn: () => void): unknown }, from: 'a' | 'b') {
  const source = samples()
  const fabric = createTestFabric(['a', 'b'], { machine: (name) => name === 'b' ? source.machine : {} })
  t.teardown(() => fabric.close())
  return { source, fabric, pm: await fabric.node(from).pm('b') as PhysicalMachine }
}

for (const from of ['a', 'b'] as const) {
  test(`events reach a shell on ${from}`, async (t) => {
    const { source, pm, fabric } = await setup(t, from)
    const watch = pm.watch({ cpuAboveRatio: 0.8, sampleEveryMs: 2_000 })
    const first = watch.next()
    await source.watched()
    for (const ratio of [0.5, 0.81, 0.78, 0.7, 0.9]) source.sample(ratio)
    const got = [await first.then(({ value }) => value as MachineEvent)]
    for (let i = 0; i < 5; i++) got.push(await next(watch))
    t.same(got.map((event) => [event.type, 'cpuRatio' in event ? event.cpuRatio : undefined]),
      [['sampled', 0.5], ['cpuAbove', 0.81], ['sampled', 0.78], ['cpuBelow', 0.7], ['cpuAbove', 0.9], ['sampled', 0.9]])
    t.match(got[1], { thresholdRatio: 0.8, atMs: 3_000 })
    watch.unwatch()
    t.same(await watch.next(), { done: true, value: undefined })
    // The home hears of it a few turns later.
    while (source.listeners.size > 0) await new Promise((resolve) => setImmediate(resolve))
    t.equal(fabric.node('b').watches.open, 0)
    t.equal(fabric.node('a').watches.open, 0)
  })
}

test('leaving the loop, unwatch and a bad option', async (t) => {
  const { source, pm } = await setup(t, 'a')
  const seen: string[] = []
  const loop = (async () => { for await (const event of pm.watch()) { seen.push(event.type); break } })()
  await source.watched()
  source.sample(0.95)
  await loop
  t.same(seen, ['cpuAbove'])
  while (source.listeners.size > 0) await new Promise((resolve) => setImmediate(resolve))

  const waiting = pm.watch().next()
  const other = pm.watch()
  await source.watched()
  t.equal(await pm.unwatch(), 2)
  t.match(await waiting, { done: true }, 'an awaited event ends the loop, without an error')
  t.match(await other.next(), { done: true })
  t.equal(await pm.unwatch(), 0)

  await t.rejects(pm.watch({ cpuAboveRatio: 7 }).next(), { code: 'RMO_ERR_ARGUMENT_INVALID', message: /PhysicalMachine.watch: options.cpuAboveRatio must be/ })
  await t.rejects(pm.watch({ cpuAbove: 0.7 } as object).next(), { code: 'RMO_ERR_ARGUMENT_UNKNOWN', message: /Did you mean cpuAboveRatio/ })
})

test('what the home cannot say of itself comes from membership', async (t) => {
  const { source, pm, fabric } = await setup(t, 'a')
  const watch = pm.watch()
  const first = watch.next()
  await source.watched()
  fabric.change('b', 'suspect')
  t.match((await first).value, { type: 'state', state: 'suspect' })
  fabric.change('b', 'alive')
  t.match(await next(watch), { type: 'state', state: 'alive' })
  fabric.change('b', 'dead')
  t.match(await next(watch), { type: 'state', state: 'dead' })
  t.match(await watch.next(), { done: true }, 'death is the last event')
})

test('a watch outlives the loss of its home', async (t) => {
  const { source, pm, fabric } = await setup(t, 'a')
  const watch = pm.watch({ cpuAboveRatio: 0.5 })
  const first = watch.next()
  await source.watched()
  fabric.cut('b')
  t.match((await first).value, { type: 'interrupted', code: 'FABRIC_ERR_UNREACHABLE' })
  while (source.listeners.size > 0) await new Promise((resolve) => setImmediate(resolve))
  fabric.mend('b')
  fabric.change('b', 'alive')
  await source.watched()
  source.sample(0.6)
  t.match(await next(watch), { type: 'state', state: 'alive' })
  t.match(await next(watch), { type: 'cpuAbove', cpuRatio: 0.6 })
  watch.unwatch()
})

test('a slow watcher loses the oldest events and is told how many', async (t) => {
  const queue = createEventQueue({ clock: systemClock, eventsMax: 3 })
  for (let i = 0; i < 5; i++) queue.push({ type: `e${i}`, atMs: i })
  t.match(await queue.next(), { type: 'lost', count: 2 })
  t.same([(await queue.next())?.type, (await queue.next())?.type, (await queue.next())?.type], ['e2', 'e3', 'e4'])
  const waiting = queue.next()
  queue.push({ type: 'late', atMs: 9 })
  t.match(await waiting, { type: 'late' })
  queue.push({ type: 'last', atMs: 10 })
  queue.close(new Error('why'))
  queue.push({ type: 'after', atMs: 11 })
  t.match(await queue.next(), { type: 'last' })
  await t.rejects(queue.next(), /why/)
})

test('watches are bounded per node', async (t) => {
  const { source, pm } = await setup(t, 'b')
  const watches = Array.from({ length: LIMITS.watchesMax }, () => pm.watch())
  const waiting = watches.map((watch) => watch.next())
  while (source.listeners.size < LIMITS.watchesMax) await new Promise((resolve) => setImmediate(resolve))
  await t.rejects(pm.watch().next(), { code: 'RMO_ERR_TOO_MANY_WATCHES', retryable: true })
  t.equal(source.listeners.size, LIMITS.watchesMax, 'the refused one left nothing behind')
  await pm.unwatch()
  await Promise.all(waiting)
})
