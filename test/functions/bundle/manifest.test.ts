// manifestOf: what a definition must be, and what becomes of it; durations.

import { fc } from '../../support/property.ts'
import t from 'tap'
import { formatDuration, parseDuration } from '../../../functions/bundle/durations.ts'
import { manifestOf, type ManifestChecks } from '../../../functions/bundle/manifest.ts'

const source = { version: 'a'.repeat(64), bytes: 10, sourceMap: 'b'.repeat(64), packages: [], files: ['hot.ts'] }
const checks: ManifestChecks = {
  cron: (pattern) => (pattern.split(' ').length >= 5 ? undefined : 'a pattern has five fields'),
  right: (right) => (right.startsWith('vm:') ? undefined : 'a kind that exists (vm)'),
  kind: (kind) => (kind === 'VM' ? undefined : '"VM"'),
}
const run = { function: 'run' }
const make = (definition: unknown): ReturnType<typeof manifestOf> => manifestOf(definition, source, checks)

t.test('defaults are written out', async (t) => {
  t.same(make({ name: 'hello', run }), {
    name: 'hello', description: '', ...source, triggers: [], rights: [], singleton: false, target: 'any',
    limits: { timeoutMs: 30_000, heapLimitMiB: 64, cpuTimeMs: 30_000, concurrency: 64, queue: 1_024 }, retry: { attempts: 5, backoffMs: 1_000 }, secrets: [],
  })
})

t.test('everything at once', async (t) => {
  const made = make({
    name: 'a-1', description: 'does it', run, rights: ['vm:read', 'vm:read', 'function:invoke'], target: 'node:beta', secrets: ['token'],
    trigger: [{ every: '1.5s' }, { cron: '0 3 * * *' }, { cron: '0 3 * * *', timezone: 'Europe/Berlin' }, { on: 'VM', events: ['crashed'], where: { name: 'web', n: 1 }, filter: { function: 'filter' } }, { topic: 'hot' }, { http: true }, { http: { open: true } }],
    limits: { timeout: '2m', heapMiB: 128, cpuTime: '250ms', concurrency: 1, queue: 0 }, retry: { attempts: 1, backoff: '10s' },
  })
  t.same(made.rights, ['vm:read', 'function:invoke'])
  t.same(made.triggers, [
    { type: 'every', everyMs: 1_500 }, { type: 'cron', pattern: '0 3 * * *', timezone: 'UTC' }, { type: 'cron', pattern: '0 3 * * *', timezone: 'Europe/Berlin' },
    { type: 'event', kind: 'VM', events: ['crashed'], where: { n: 1, name: 'web' }, filtered: true }, { type: 'topic', topic: 'hot' }, { type: 'http', open: false }, { type: 'http', open: true },
  ])
  t.same(made.limits, { timeoutMs: 120_000, heapLimitMiB: 128, cpuTimeMs: 250, concurrency: 1, queue: 0 })
  t.same(made.retry, { attempts: 1, backoffMs: 10_000 })
})

t.test('what is wrong is named by its path', async (t) => {
  const wrong = (definition: unknown, text: RegExp): void => { t.throws(() => make(definition), { code: 'FUNCTIONS_ERR_DEFINITION_INVALID', message: text }) }
  wrong(null, /function \(no name\): the definition must be an object/)
  wrong({ run }, /name must be a to z.*got nothing/)
  wrong({ name: 'Bad Name', run }, /function \(no name\): name must be .*got "Bad Name"/)
  wrong({ name: 'a' }, /function a: run must be a function, got nothing/)
  wrong({ name: 'a', run: true }, /run must be a function, got true/)
  wrong({ name: 'a', run, triger: {} }, /triger must be left out \(did you mean trigger\?/)
  wrong({ name: 'a', run, trigger: { evry: '5s' } }, /trigger\.evry must be left out \(did you mean every\?/)
  wrong({ name: 'a', run, trigger: { every: '5' } }, /trigger\.every must be a duration from 100ms to 31d, such as "5s", got "5"/)
  wrong({ name: 'a', run, trigger: [{ every: '1ms' }] }, /trigger\[0\]\.every must be a duration/)
  wrong({ name: 'a', run, trigger: { every: '5s', topic: 'x' } }, /trigger must be an object with one of/)
  wrong({ name: 'a', run, trigger: {} }, /trigger must be an object with one of/)
  wrong({ name: 'a', run, trigger: { cron: 'daily' } }, /trigger\.cron must be a cron pattern .*\(a pattern has five fields\)/)
  wrong({ name: 'a', run, trigger: { on: 'Vm' } }, /trigger\.on must be "VM"/)
  wrong({ name: 'a', run, trigger: { on: 'VM', filter: 'x' } }, /trigger\.filter must be a function/)
  wrong({ name: 'a', run, trigger: { on: 'VM', where: { a: {} } } }, /trigger\.where\.a must be a text/)
  wrong({ name: 'a', run, trigger: { http: { opn: true } } }, /trigger\.http\.opn must be left out \(did you mean open/)
  wrong({ name: 'a', run, trigger: { http: false } }, /trigger\.http must be an object with open, got false/)
  wrong({ name: 'a', run, rights: 'vm:read' }, /rights must be a list/)
  wrong({ name: 'a', run, rights: ['read'] }, /rights\[0\] must be a kind and a verb, such as "vm:read", got "read"/)
  wrong({ name: 'a', run, rights: ['cat:read'] }, /rights\[0\] must be a kind that exists \(vm\)/)
  wrong({ name: 'a', run, rights: ['function:delete'] }, /rights\[0\] must be "function:invoke"/)
  wrong({ name: 'a', run, singleton: 1 }, /singleton must be true or false, got 1/)
  wrong({ name: 'a', run, singleton: true, target: 'all' }, /target must be "any" or "node:NAME" for a singleton/)
  wrong({ name: 'a', run, target: 'node' }, /target must be/)
  wrong({ name: 'a', run, limits: { heapMiB: 1 } }, /limits\.heapMiB must be an integer from 8 to/)
  wrong({ name: 'a', run, limits: { timeout: '2h' } }, /limits\.timeout must be a duration from 1ms to 1h/)
  wrong({ name: 'a', run, retry: { attempts: 0 } }, /retry\.attempts must be an integer from 1/)
  wrong({ name: 'a', run, secrets: ['a b'] }, /secrets\[0\] must be the name of a secret/)
  wrong({ name: 'a', run, description: { function: 'x' } }, /description must be a text.*got a function/)
})

t.test('property: any value whatever gives a manifest or DEFINITION_INVALID', async () => {
  const part = fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true })
  const definition = fc.oneof(part, fc.record({ name: fc.constantFrom('a', 'b-2'), run: fc.constant(run), trigger: part, rights: part, limits: part, retry: part, target: part, secrets: part, singleton: part }, { requiredKeys: ['name', 'run'] }))
  fc.assert(fc.property(definition, (given) => {
    try {
      make(given)
    } catch (error) {
      if ((error as { code?: string }).code !== 'FUNCTIONS_ERR_DEFINITION_INVALID') throw error
    }
  }), { numRuns: 500 })
})

t.test('durations', async (t) => {
  t.same(['250ms', '5s', '2m', '1h', '1d', '1.5s', ' 3 s '].map(parseDuration), [250, 5_000, 120_000, 3_600_000, 86_400_000, 1_500, 3_000])
  t.same(['', '5', 's', '-5s', '5 seconds', '1e3s', '1.2345s', '5S'].map(parseDuration), Array(8).fill(undefined))
  fc.assert(fc.property(fc.integer({ min: 1, max: 1e9 }), (ms) => parseDuration(formatDuration(ms)) === ms))
})
