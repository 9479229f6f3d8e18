// Timer triggers against a store: who ticks, what is remembered, what a deploy, a pause, an overlap and a takeover do.

import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import type { NodeId } from '../../../fabric/base.ts'
import { decodeValue, startTriggers } from '../../../functions/mod.ts'
import type { NodeHolders, Triggers } from '../../../functions/mod.ts'
import { createTriggerLab } from '../../support/trigger-lab.ts'
import type { TriggerLab } from '../../support/trigger-lab.ts'

const every = (everyMs: number) => ({ type: 'every', everyMs } as const)
const cron = (pattern: string) => ({ type: 'cron', pattern, timezone: 'UTC' } as const)

function start(lab: TriggerLab, self = 'alpha', nodes: readonly string[] = [self]): { readonly holders: NodeHolders; readonly triggers: Triggers } {
  const holders = lab.holders(self, nodes)
  return { holders, triggers: startTriggers({ ...lab, holders, self: self as NodeId, source: { onLocalEvent: () => () => {} }, mayWatch: async () => true }) }
}
async function stop(lab: TriggerLab, ...started: readonly { readonly triggers: Triggers }[]): Promise<void> {
  for (const { triggers } of started) void triggers.stop()
  await lab.clock.settle(2_000)
}

t.test('a singleton ticks on its holder, in its epoch; any other function goes where the invoker sends it', async (t) => {
  const lab = createTriggerLab()
  lab.deploy('single', { singleton: true, triggers: [every(5_000)] })
  lab.deploy('plain', { triggers: [every(5_000)] })
  lab.deploy('wide', { triggers: [every(5_000)], target: 'all' })
  const [alpha, beta] = [start(lab, 'alpha', ['alpha', 'beta']), start(lab, 'beta', ['alpha', 'beta'])]
  await lab.clock.settle(21_000)
  for (const [name, how] of [['single', 'runHere'], ['plain', 'invoke'], ['wide', 'invokeAll']] as const) {
    const ticks = lab.asked.filter(({ request }) => request.reference === `${name}@stable`)
    t.equal(ticks.length, 5, `${name}: once each period, whoever does it`)
    t.ok(ticks.every((tick) => tick.how === how && isDeepStrictEqual(decodeValue(tick.request.payload), [undefined]) && tick.request.cause.type === 'every' && tick.authority.principal === 'local:0'))
  }
  const { epoch } = lab.asked.find(({ how }) => how === 'runHere') ?? {}
  t.equal(epoch, (alpha.holders.holder('single') ?? beta.holders.holder('single'))?.epoch)
  await stop(lab, alpha, beta)
})

t.test('no node at all for hours: the first one back makes one tick', async (t) => {
  const lab = createTriggerLab()
  lab.deploy('plain', { triggers: [every(5_000)] })
  const before = start(lab)
  await lab.clock.settle(12_000)
  await stop(lab, before)
  const count = lab.asked.length
  await lab.clock.settle(3_600_000)
  const after = start(lab)
  await lab.clock.settle(4_000)
  t.equal(lab.asked.length, count + 1)
  await lab.clock.settle(20_000)
  t.equal(lab.asked.length, count + 5)
  await stop(lab, after)
})

t.test('a deploy changes the next tick and not the one that runs; a pause stops ticks, not the run', async (t) => {
  const lab = createTriggerLab()
  lab.answers.lasting = true
  lab.deploy('keeper', { singleton: true, triggers: [every(1_000)] })
  const node = start(lab)
  await lab.clock.settle(1_500)
  t.equal(lab.asked.length, 1)
  lab.deploy('keeper', { singleton: true, triggers: [every(1_000)], version: 'v2' })
  await lab.clock.settle(3_000)
  t.equal(lab.asked.length, 1, 'while it runs ticks are left out')
  t.ok((lab.counts['keeper tick-skipped'] ?? 0) >= 2)
  t.notOk(lab.asked[0]?.authority.signal.aborted)
  lab.asked[0]?.end()
  await lab.clock.settle(1_000)
  t.same(lab.asked.map(({ version }) => version), ['v1', 'v2'])
  lab.deploy('keeper', { singleton: true, triggers: [every(1_000)], version: 'v2', paused: true })
  await lab.clock.settle(1_000)
  t.notOk(lab.asked[1]?.authority.signal.aborted)
  lab.asked[1]?.end()
  await lab.clock.settle(10_000)
  t.equal(lab.asked.length, 2)
  lab.answers.lasting = false
  lab.deploy('keeper', { singleton: true, triggers: [every(1_000)], version: 'v2' })
  await lab.clock.settle(3_500)
  t.ok(lab.asked.length >= 5, 'resumed')
  lab.remove('keeper')
  await lab.clock.settle(1_000)
  t.equal(node.holders.holder('keeper'), undefined)
  const count = lab.asked.length
  await lab.clock.settle(5_000)
  t.equal(lab.asked.length, count)
  await stop(lab, node)
})

t.test('a run ends with the epoch that it began in', async (t) => {
  const lab = createTriggerLab()
  lab.answers.lasting = true
  lab.deploy('keeper', { singleton: true, triggers: [every(1_000)] })
  const node = start(lab)
  await lab.clock.settle(2_000)
  await lab.store.transact({ then: [{ do: 'delete', key: 'holder/keeper' }] })
  await lab.clock.settle(1_500)
  t.ok(lab.asked[0]?.authority.signal.aborted)
  t.ok((lab.asked[1]?.epoch ?? 0) > (lab.asked[0]?.epoch ?? Infinity), 'and the next one is of another')
  await stop(lab, node)
})

t.test('cron: a time that its holder did not live to finish is begun again by the next one', async (t) => {
  const lab = createTriggerLab()
  lab.deploy('nightly', { triggers: [cron('0 * * * *')] })
  const first = start(lab)
  await lab.clock.settle(3_000)
  t.equal(lab.asked.length, 0, 'no time before it was deployed is made up for')
  lab.answers.lasting = true
  await lab.clock.settle(3_600_000)
  t.equal(lab.asked.length, 1)
  // The run never ends; the node goes.
  await stop(lab, first)
  lab.answers.lasting = false
  const second = start(lab, 'beta')
  await lab.clock.settle(3_000)
  t.equal(lab.asked.length, 2)
  t.same(lab.asked[1]?.request.cause, lab.asked[0]?.request.cause)
  await stop(lab, second)
  const third = start(lab, 'gamma')
  await lab.clock.settle(60_000)
  t.equal(lab.asked.length, 2, 'it is done')
  await stop(lab, third)
})

t.test('a write that the store does not answer is made once', async (t) => {
  const lab = createTriggerLab()
  const transact = lab.store.transact.bind(lab.store)
  let lost = 0
  lab.store.transact = async (transaction, options) => {
    const answer = await transact(transaction, options)
    if (transaction.then[0]?.do === 'put' && transaction.then[0].key.startsWith('fired/') && lost++ % 2 === 0) throw Object.assign(new Error('no answer'), { code: 'FABRIC_ERR_STORE_UNREACHABLE', retryable: true })
    return answer
  }
  lab.deploy('plain', { triggers: [every(5_000)] })
  const node = start(lab)
  await lab.clock.settle(21_000)
  t.equal(lab.asked.length, 5)
  await stop(lab, node)
})

t.test('what a trigger was is forgotten with it', async (t) => {
  const lab = createTriggerLab()
  lab.deploy('plain', { triggers: [every(5_000), cron('0 0 * * *')] })
  const one = start(lab)
  await lab.clock.settle(2_000)
  t.same((await lab.store.range('fired/')).entries.map(({ key }) => key), ['fired/plain/cron:0 0 * * *@UTC', 'fired/plain/every:5000'])
  lab.deploy('plain', { triggers: [every(1_000)] })
  await lab.clock.settle(2_000)
  t.same((await lab.store.range('fired/')).entries.map(({ key }) => key), ['fired/plain/every:1000'])
  await stop(lab, one)
})
