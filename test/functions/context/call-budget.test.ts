// The budget of nested calls, by properties: whatever a tree of calls does, it ends, and never makes more than it was given.

import { fc } from '../../support/property.ts'
import t from 'tap'
import { CallBudget } from '../../../functions/plan/call-budget.ts'

const never = new AbortController().signal

/** A call that makes nested ones as `shape` says until it is refused: how many at once, how often, each by the same rule. Answers calls made. */
async function greedy(budget: CallBudget, shape: { readonly wide: number; readonly often: number; readonly given: number; readonly silent: boolean }, depth = 0): Promise<number> {
  let made = 0
  for (let round = 0; round < shape.often; round++) {
    const parts = await Promise.all(Array.from({ length: shape.wide }, async (_, i) => {
      const grant = await budget.take(i < shape.given ? 'give' : 'lend', never)
      if (grant === undefined) return undefined
      const inner = new CallBudget(grant.share)
      const below = await greedy(inner, shape, depth + 1)
      grant.settle(shape.silent ? undefined : inner.used)
      return 1 + below
    }))
    for (const part of parts) made += part ?? 0
    if (parts.includes(undefined)) break
  }
  return made
}

t.test('no shape of recursion makes more calls than the budget, and all end', async (t) => {
  await fc.assert(fc.asyncProperty(
    fc.integer({ min: 0, max: 300 }), fc.record({ wide: fc.integer({ min: 1, max: 12 }), often: fc.integer({ min: 1, max: 400 }), given: fc.integer({ min: 0, max: 4 }), silent: fc.boolean() }),
    async (total, shape) => {
      const budget = new CallBudget(total)
      const made = await greedy(budget, shape)
      return made <= total && budget.used <= total && made <= budget.used
    }), { numRuns: 150 })
})

t.test('a loop of calls that cause none may make as many as there are', async (t) => {
  const budget = new CallBudget(100)
  for (let i = 0; i < 100; i++) (await budget.take('lend', never))?.settle(0)
  t.equal(budget.used, 100)
  t.equal(await budget.take('lend', never), undefined)
})

t.test('when all is lent, the next waits for what comes back, or is refused when nothing does', async (t) => {
  const budget = new CallBudget(2)
  const first = (await budget.take('lend', never))!
  const second = (await budget.take('lend', never))!
  const third = budget.take('lend', never)
  const control = new AbortController()
  const fourth = budget.take('give', control.signal)
  control.abort(new Error('gone'))
  await t.rejects(fourth, { message: 'gone' })
  first.settle(0)
  second.settle(0)
  t.equal(await third, undefined, 'both places are taken for good')
  const roomy = new CallBudget(3)
  const lent = (await roomy.take('lend', never))!
  t.equal(lent.share, 1)
  await roomy.take('lend', never)
  const waits = roomy.take('lend', never)
  lent.settle(0)
  lent.settle(0)
  t.equal((await waits)?.share, 0)
})
