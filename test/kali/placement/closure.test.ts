// What may stand on the right of `pool.scheduler = ...`, and what it becomes.

import { createHash } from 'node:crypto'
import { test } from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import { schedulerOf } from '../../../kali/placement/closure.ts'
import { SCHEDULERS } from '../../../kali/placement/schedulers/index.ts'
import { byRank } from '../../../kali/placement/user-scheduler.ts'
import type { UserScheduler } from '../../../kali/placement/user-scheduler.ts'
import { codeOf } from '../../support/code-of.ts'

test('names', (t) => {
  for (const { name } of SCHEDULERS) t.same(schedulerOf(name), { type: 'builtin', name })
  t.same(schedulerOf('my-own'), { type: 'function', name: 'my-own' }, 'a deployed function')
  t.same(schedulerOf({ name: 'packing' }), { type: 'builtin', name: 'packing' })
  t.same(schedulerOf({ type: 'function', name: 'rank' }), { type: 'function', name: 'rank' }, 'a deployed one of the same name')
  t.same(schedulerOf({ name: 'load', options: { memory: 0.5 } }), { type: 'builtin', name: 'load', options: { memory: 0.5 } })
  t.end()
})

test('what is none is refused with what would be right', (t) => {
  for (const wrong of [undefined, null, 7, true, {}, { type: 'best', name: 'x' }, 'Not A Name', '', { name: 'load', options: { memry: 1 } }, { name: 'load', options: { memory: 'much' } }, { name: 'load', options: { memory: NaN } }]) {
    t.equal(codeOf(() => schedulerOf(wrong)), 'KALI_ERR_SCHEDULER_INVALID', JSON.stringify(wrong))
  }
  t.throws(() => schedulerOf({ name: 'load', options: { memry: 1 } }), { message: /option memry of load must be memory or left out/ })
  t.equal(codeOf(() => schedulerOf({ type: 'builtin', name: 'rnak', options: {} })), 'KALI_ERR_SCHEDULER_UNKNOWN')
  t.end()
})

test('a function is captured with its values, the same each time', (t) => {
  const prefix = 'hpc'
  const scheduler: UserScheduler = (vm, pms) => pms.filter((pm) => pm.name.startsWith(prefix) && pm.availableFor(vm)).sort(byRank).at(0)
  const ref = schedulerOf(scheduler)
  if (ref.type !== 'closure') throw new Error('no closure')
  t.equal(ref.name, 'scheduler')
  t.match(ref.text, /pm\.availableFor\(vm\)/)
  t.equal(ref.codeHash, createHash('sha256').update(ref.text).digest('hex'))
  t.equal(ref.environmentHash, createHash('sha256').update(Buffer.from(ref.environment, 'base64')).digest('hex'))
  t.match(Buffer.from(ref.environment, 'base64').toString('latin1'), 'hpc')
  t.same(schedulerOf(scheduler), ref)
  t.same(schedulerOf(ref), ref, 'as it came out of a record')
  const big = 'x'.repeat(LIMITS.schedulerBytesMax)
  t.equal(codeOf(() => schedulerOf(() => big)), 'KALI_ERR_SCHEDULER_INVALID')
  t.end()
})
