// functions/catalog/changes.ts: what may happen to a function's record, by examples and by properties over any sequence.

import { createHash } from 'node:crypto'
import { fc } from '../../support/property.ts'
import t from 'tap'
import { errorCode } from '../../../fabric/base.ts'
import { change } from '../../../functions/catalog/changes.ts'
import type { Bounds, FunctionBody, FunctionState, Wish } from '../../../functions/catalog/changes.ts'

const hash = (text: string | number): string => createHash('sha256').update(String(text)).digest('hex')
const BOUNDS: Bounds = { versionsKept: 20, aliasesMax: 16 }
const SMALL: Bounds = { versionsKept: 6, aliasesMax: 4 }
const NEW: FunctionState = { name: 'hot', record: undefined, versions: [] }

function after(state: FunctionState, wish: Wish, bounds = BOUNDS): FunctionState {
  const { next, forget } = change(state, wish, bounds)
  if (next === undefined) return state
  const versions = wish.do === 'deploy' && !state.versions.includes(wish.version) ? [...state.versions, wish.version] : state.versions
  return { ...state, record: next, versions: versions.filter((version) => !forget.includes(version)) }
}
const deploy = (n: number | string, over: Partial<Extract<Wish, { do: 'deploy' }>> = {}): Wish => ({ do: 'deploy', version: hash(n), alias: 'stable', ...over })
const all = (...wishes: Wish[]): FunctionState => wishes.reduce((state, wish) => after(state, wish), NEW)
const bodyOf = (state: FunctionState): FunctionBody => { if (state.record === undefined) throw new Error('no record'); return state.record }
const codeOf = (state: FunctionState, wish: Wish, bounds = BOUNDS): string | undefined => { try { change(state, wish, bounds); return undefined } catch (error) { return errorCode(error) } }

t.test('deploy, rollback, and again', (t) => {
  const three = all(deploy(1), deploy(2), deploy(3))
  t.same(bodyOf(three), { name: 'hot', aliases: { stable: { version: hash(3) } }, history: [hash(2), hash(1)], paused: false, generation: 3 })
  const two = after(three, { do: 'rollback' })
  t.same(bodyOf(two).aliases, { stable: { version: hash(2) } })
  t.same(bodyOf(two).history, [hash(1)], 'what was rolled back from is not gone back to')
  const one = after(two, { do: 'rollback' })
  t.same(bodyOf(one).aliases, { stable: { version: hash(1) } })
  t.equal(codeOf(one, { do: 'rollback' }), 'FUNCTIONS_ERR_FUNCTION_NO_PREVIOUS')
  const forward = after(one, { do: 'rollback', version: hash(3).slice(0, 8) })
  t.same(bodyOf(forward), { name: 'hot', aliases: { stable: { version: hash(3) } }, history: [hash(1)], paused: false, generation: 6 }, 'forward to one that is kept')
  t.same(change(three, deploy(3), BOUNDS), { next: undefined, forget: [] }, 'the same again changes nothing')
  t.same(bodyOf(after(three, deploy(1))).history, [hash(3), hash(2)], 'an older one deployed again is not in its own history')
  t.end()
})

t.test('a deploy that names its generation', (t) => {
  t.equal(codeOf(all(deploy(1)), deploy(2, { generation: 0 })), 'FUNCTIONS_ERR_FUNCTION_CONFLICT')
  t.equal(codeOf(all(deploy(1)), deploy(2, { generation: 1 })), undefined)
  t.equal(codeOf(NEW, deploy(2, { generation: 0 })), undefined)
  t.end()
})

t.test('aliases', (t) => {
  const two = all(deploy(1), deploy(2))
  const canary = after(two, { do: 'alias', moves: { canary: `${hash(1).slice(0, 12)}:10%` } })
  t.same(bodyOf(canary).aliases, { stable: { version: hash(2) }, canary: { version: hash(1), percent: 10 } })
  const promoted = after(canary, { do: 'alias', moves: { stable: 'canary', canary: null } })
  t.same(bodyOf(promoted).aliases, { stable: { version: hash(1) } }, 'an alias may be named by another; null removes')
  t.same(bodyOf(promoted).history, [hash(2)], 'stable moved: where it was is gone back to')
  t.equal(codeOf(two, { do: 'alias', moves: { stable: null } }), 'FUNCTIONS_ERR_PAYLOAD_INVALID')
  t.equal(codeOf(two, { do: 'alias', moves: { stable: `${hash(1)}:10%` } }), 'FUNCTIONS_ERR_PAYLOAD_INVALID')
  t.equal(codeOf(two, { do: 'alias', moves: { a: `${hash(1)}:60%`, b: `${hash(1)}:40%` } }), 'FUNCTIONS_ERR_PAYLOAD_INVALID')
  t.equal(codeOf(two, { do: 'alias', moves: { a: `${hash(1)}:0%` } }), 'FUNCTIONS_ERR_PAYLOAD_INVALID')
  t.equal(codeOf(two, { do: 'alias', moves: { A: hash(1) } }), 'FUNCTIONS_ERR_PAYLOAD_INVALID')
  t.equal(codeOf(two, { do: 'alias', moves: { a: 'ffff' } }), 'FUNCTIONS_ERR_FUNCTION_VERSION_UNKNOWN')
  t.throws(() => change(two, { do: 'alias', moves: { a: 'fff' } }, BOUNDS), { message: /no version or alias fff \(of a version write four digits or more\)/ })
  t.equal(codeOf(two, { do: 'alias', moves: { gone: null } }), 'FUNCTIONS_ERR_FUNCTION_VERSION_UNKNOWN')
  t.equal(codeOf(NEW, deploy(1, { alias: 'canary' })), 'FUNCTIONS_ERR_PAYLOAD_INVALID', 'the first version is the stable one')
  t.end()
})

t.test('any sequence of changes', (t) => {
  const alias = fc.constantFrom('stable', 'canary', 'blue', 'green', 'beef')
  const version = fc.integer({ min: 0, max: 12 }).map((n) => hash(n))
  const wish: fc.Arbitrary<Wish> = fc.oneof(
    fc.record({ do: fc.constant('deploy' as const), version, alias, percent: fc.option(fc.integer({ min: -1, max: 101 }), { nil: undefined }) }, { requiredKeys: ['do', 'version', 'alias'] })
      .map(({ percent, ...rest }) => ({ ...rest, ...(percent === undefined ? {} : { percent }) })),
    fc.constant<Wish>({ do: 'rollback' }), version.map((v): Wish => ({ do: 'rollback', version: v.slice(0, 10) })),
    fc.dictionary(alias, fc.option(fc.tuple(version, fc.option(fc.integer({ min: 0, max: 100 }))).map(([v, share]) => `${v.slice(0, 12)}${share === null ? '' : `:${share}%`}`)), { maxKeys: 3 }).map((moves): Wish => ({ do: 'alias', moves })),
    fc.constantFrom<Wish>({ do: 'pause' }, { do: 'resume' }),
  )
  fc.assert(fc.property(fc.array(wish, { maxLength: 60 }), (wishes) => {
    let state = NEW
    for (const next of wishes) {
      const before = state
      try {
        state = after(state, next, SMALL)
      } catch (error) {
        if (errorCode(error)?.startsWith('FUNCTIONS_ERR_') !== true) throw error
        continue
      }
      const { record } = state
      if (record === undefined) throw new Error('a change without a record')
      const kept = new Set(state.versions)
      const named = Object.values(record.aliases).map(({ version: v }) => v)
      if (state !== before && record.generation !== (before.record?.generation ?? 0) + 1) throw new Error('the generation grows by one')
      if (record.aliases['stable'] === undefined || record.aliases['stable'].percent !== undefined) throw new Error('stable is always there, without a share')
      if (![...named, ...record.history].every((v) => kept.has(v))) throw new Error('what is named is kept')
      if (kept.size > SMALL.versionsKept || Object.keys(record.aliases).length > SMALL.aliasesMax) throw new Error('bounds')
      if (record.history.includes(record.aliases['stable'].version) || new Set(record.history).size !== record.history.length) throw new Error('history')
      if (Object.values(record.aliases).reduce((sum, { percent = 0 }) => sum + percent, 0) > 99) throw new Error('shares')
    }
  }), { numRuns: 500 })
  t.end()
})
