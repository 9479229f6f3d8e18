// Nesting deep, wide and for ever: nobody waits for himself, budgets are kept over all nodes, and all recursion ends.

import t from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import { openFunctionNodes, runBody as run } from '../../support/function-nodes.ts'

const world = await openFunctionNodes(2)
const alone = await openFunctionNodes(1)
t.teardown(() => Promise.all([world.close(), alone.close()]))

t.test('depth three on one node with one worker', async (t) => {
  t.same(await run(alone, 'return range(2).dmap(a => range(2).dmap(b => range(2).dmap(c => a * 100 + b * 10 + c)))'), [[[[0, 1], [10, 11]], [[100, 101], [110, 111]]]])
})

t.test('more outer calls than places, each with an inner map, on one worker', async (t) => {
  const count = LIMITS.jobsPerLaneMax * 4
  const version = await alone.deploy('import { defineFunction, range } from "kumoi"\nexport default defineFunction({ name: "tested", run: async ({}, payload) => range(3).dsum(n => n + payload) })')
  const answers = await Promise.all(Array.from({ length: count }, (_, payload) => alone.invoke(version, { payload })))
  t.same(answers.map(({ seen }) => seen[0]?.value), Array.from({ length: count }, (_, n) => 3 + 3 * n))
})

t.test('256 nested runs at once out of one call', async (t) => {
  t.same(await run(world, 'return (await Promise.all(Array.from({ length: 256 }, (_, i) => from([i, 1]).dsum(n => n * 2)))).every((n, i) => n === 2 * i + 2)'), [true])
})

t.test('a loop may make as many calls as the budget has, and no more', async (t) => {
  t.same(await run(alone, 'let made = 0; try { for (;;) { await range(1).dmap(n => n); made++ } } catch (error) { return [made, error.code] }', { budget: 20 }), [[20, 'FUNCTIONS_ERR_FUNCTION_BUDGET']])
})

t.test('what a nested run did not use comes back, from every node', async (t) => {
  const version = await world.deploy('import { defineFunction, range } from "kumoi"\nexport default defineFunction({ name: "tested", run: async ({ pms }) => { for (let i = 0; i < 3; i++) await pms.dmap(pm => range(2).dsum(n => n + 1)); return "done" } })')
  const { seen, budget } = await world.invoke(version, { budget: 100 })
  t.same(seen[0]?.value, 'done')
  t.equal(budget.used, 9, 'three runs, each with one more on both nodes')
})

t.test('recursion of any shape ends', async (t) => {
  const before = 'let depth = 0; const dig = (n) => range(1).dmap(() => dig(n + 1)); const spread = (n) => range(4).dmap(() => spread(n + 1)); const again = async () => { for (;;) { try { await range(2).dmap(again) } catch (error) { return error.code } } }'
  const ends = /BUDGET|TOO_MANY_HOPS|MAP_FAILED/
  for (const body of ['return await dig(0)', 'return await spread(0)']) {
    for (const on of [alone, world]) t.match((await run(on, body, { budget: 200 }, before))[0], { status: 'error', code: ends }, body)
  }
  t.match((await run(alone, 'return await again()', { budget: 200 }, before))[0], ends)
  const deep = await run(alone, 'let at; try { await dig(0) } catch (error) { at = error } return at.message', {}, before)
  t.match(deep[0], /more than the \d+ allowed/, 'hops, when the budget would last longer')
})
