// The version gate: which V8 runs user code. The node stays up; only user code is refused.

import t from 'tap'
import { compareEngines, engineParts, engineRefusal } from '../../../functions/sandbox/kernel/engine-gate.ts'
import { fc } from '../../support/property.ts'
import { makeHooks, makeJob, never, openSandbox } from '../../support/sandbox.ts'

t.test('the engine of this process passes', async (t) => { t.equal(engineRefusal(process.versions.v8), undefined, process.versions.v8) })

t.test('older engines, listed ones and unreadable ones are refused, with the reason', async (t) => {
  const minimum = '13.6.233.17-node.53'
  t.match(engineRefusal('13.6.233.17-node.52', minimum), /older/)
  t.match(engineRefusal('12.4.254.21-node.33', minimum), /older/)
  t.match(engineRefusal('13.6.233', minimum), /cannot be read/)
  t.equal(engineRefusal('14.0.0.0-node.1', minimum), undefined)
  const bad = [{ from: '13.7.0.0', to: '13.7.9.99-node.9', why: 'CVE-2099-0001: type confusion', since: '2099-01-01' }]
  t.match(engineRefusal('13.7.5.1-node.2', minimum, bad), /CVE-2099-0001.*2099-01-01/)
  t.equal(engineRefusal('13.8.0.0', minimum, bad), undefined)
})

t.test('versions are compared number by number', async (t) => {
  const part = fc.integer({ min: 0, max: 99_999 })
  const version = fc.tuple(part, part, part, part, part)
  fc.assert(fc.property(version, version, (a, b) => {
    const text = (parts: readonly number[]): string => `${parts.slice(0, 4).join('.')}-node.${parts[4]}`
    const at = a.findIndex((value, i) => value !== b[i])
    const sign = at < 0 ? 0 : Math.sign((a[at] ?? 0) - (b[at] ?? 0))
    return Math.sign(compareEngines(text(a), text(b))) === sign && engineParts(text(a))?.join() === a.join()
  }))
  fc.assert(fc.property(fc.string(), (text) => { engineRefusal(text) }))
})

t.test('a sandbox on such an engine starts no cell and refuses every job', async (t) => {
  const { sandbox, close } = await openSandbox({ engine: '11.3.244.8-node.16' })
  t.teardown(close)
  await t.rejects(sandbox.run(makeJob({ source: '(x) => x' }), makeHooks(), never), { code: 'FUNCTIONS_ERR_SANDBOX_ENGINE', message: /11\.3\.244\.8-node\.16/ })
  await t.rejects(sandbox.warm('anyone'), { code: 'FUNCTIONS_ERR_SANDBOX_ENGINE' })
  t.same(sandbox.stats().cells, [])
})
