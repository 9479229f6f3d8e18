// What one node refuses by its own rules: by size, by package, by right; before anything ran, named, and only there.

import t from 'tap'
import { createAdmission, rightsMeet } from '../../functions/admission.ts'
import { fc } from '../support/property.ts'
import { fakeSandbox } from '../support/fake-sandbox.ts'
import { openInvokeFabric } from '../support/invoke-nodes.ts'
import type { InvokeFabric } from '../support/invoke-nodes.ts'
import { failure } from '../support/rpc-pair.ts'
import { makeHooks, makeJob, never, openSandbox, outcomes, sha256, valuesOf } from '../support/sandbox.ts'

const manifest = { name: 'sweep', rights: ['vm:start', 'vm:delete'], packages: [{ name: 'lodash' }], bytes: 2_000 }
const REFUSED = 'FUNCTIONS_ERR_ADMISSION_REFUSED'

t.test('a manifest against a rule is refused, with the rule and the node', async (t) => {
  const by = (rules: Parameters<typeof createAdmission>[0]) => () => createAdmission(rules, 'beta').manifest(manifest)
  t.throws(by({ refuseRights: ['vm:delete'] }), { code: REFUSED, message: /beta .*sweep.*"vm:delete".*--refuse-right vm:delete/ })
  t.throws(by({ refuseRights: ['*:delete'] }), { code: REFUSED })
  t.throws(by({ refuseModules: ['lodash'] }), { code: REFUSED, message: /--refuse-module lodash/ })
  t.throws(by({ codeBytesMax: 1_999 }), { code: REFUSED, message: /2000 bytes.*limit of 1999 bytes.*--code-max/ })
  t.doesNotThrow(by({}))
  t.doesNotThrow(by({ refuseRights: ['pool:delete', 'vm:stop'], refuseModules: ['lodash-es'], codeBytesMax: 2_000 }))
  t.throws(() => createAdmission({ refuseRights: ['vm:delete'] }, 'beta').manifest({ ...manifest, rights: ['vm:*'] }), { code: REFUSED }, 'a pattern that covers it')
})

t.test('patterns meet where a right is in both', async () => {
  const word = fc.constantFrom('vm', 'pool', '*')
  const verb = fc.constantFrom('start', 'delete', '*')
  fc.assert(fc.property(word, verb, word, verb, (kindA, verbA, kindB, verbB) => {
    const covers = (kind: string, of: string, right: readonly [string, string]): boolean => (kind === '*' || kind === right[0]) && (of === '*' || of === right[1])
    const rights = ['vm', 'pool', 'other'].flatMap((kind) => ['start', 'delete', 'else'].map((name) => [kind, name] as const))
    return rightsMeet(`${kindA}:${verbA}`, `${kindB}:${verbB}`) === rights.some((right) => covers(kindA, verbA, right) && covers(kindB, verbB, right))
  }))
})

t.test('a sandbox with rules: shipped code above the size is refused before a cell sees it', async (t) => {
  const { sandbox, close } = await openSandbox({ admission: createAdmission({ codeBytesMax: 500 }, 'beta'), spareCells: 0 })
  t.teardown(close)
  const large = `(x) => x // ${'.'.repeat(500)}`
  await t.rejects(sandbox.run(makeJob({ source: large }), makeHooks(), never), { code: REFUSED, message: /^beta does not run code of \d+ bytes/ })
  await t.rejects(sandbox.run(makeJob({ source: large }), makeHooks(), never), { code: REFUSED }, 'again: nothing was kept')
  t.same(valuesOf(await sandbox.run(makeJob({ source: '(x) => x + 1', items: [1] }), makeHooks(), never)), [2])
})

t.test('a package that it refuses is not there, with the reason', async (t) => {
  const { sandbox, close } = await openSandbox({ admission: createAdmission({ refuseModules: ['fast-check'] }, 'beta'), spareCells: 0 })
  t.teardown(close)
  const code = '/*packages [["fast-check","fast-check","4.0.0"]]*/(environment, runtime) => runtime.link(environment, [[0, () => () => (x) => x]], [])'
  const bytes = new TextEncoder().encode(code)
  const made = makeJob({ source: '(x) => x' })
  const job = { ...made, stages: [{ verb: 'map' as const, code: sha256(bytes), environment: made.stages[0]?.environment ?? '', name: 'packaged' }], blob: () => bytes }
  t.match(outcomes(await sandbox.run(job, makeHooks(), never)), [{ status: 'error', code: REFUSED, message: /beta does not run code that uses the npm package fast-check/ }])
})

t.test('a deployed function with a right that one node refuses runs on the other, and there only', async (t) => {
  const fabric = await openInvokeFabric(2, { sandbox: () => fakeSandbox(), admission: (n) => createAdmission(n === 0 ? { refuseRights: ['vm:delete'] } : {}, `n${n}`) })
  t.teardown(() => fabric.close())
  const [first, second] = fabric.nodes as [InvokeFabric['nodes'][0], InvokeFabric['nodes'][0]]
  fabric.deploy('sweep-first', '() => 1', { rights: ['vm:*'], target: 'node:n0' })
  fabric.deploy('sweep-second', '() => 2', { rights: ['vm:*'], target: 'node:n1' })
  fabric.deploy('harmless', '() => 3', { rights: ['vm:start'], target: 'node:n0' })
  for (const from of [first, second]) {
    t.match(await failure(from.client.invoke('sweep-first')), { code: REFUSED, outcome: 'not-started', message: /^n0 does not run function sweep-first/ })
    t.equal(await from.client.invoke('sweep-second'), 2)
    t.equal(await from.client.invoke('harmless'), 3)
  }
  t.same(first.chunks.length, 2, 'nothing of it came near a cell')
})

t.test('functions of somebody who has been cut off run no more, and again when he is let in', async (t) => {
  const out = new Set<string>()
  const fabric = await openInvokeFabric(1, { sandbox: () => fakeSandbox(), cutOff: (principal) => out.has(principal) })
  t.teardown(() => fabric.close())
  const [node] = fabric.nodes as [InvokeFabric['nodes'][0]]
  fabric.deploy('sweep', '() => 1')
  t.equal(await node.client.invoke('sweep'), 1)
  out.add('local:0')
  t.match(await failure(node.client.invoke('sweep')), { code: 'FUNCTIONS_ERR_DEPLOYER_CUT_OFF', outcome: 'not-started', message: /local:0, who deployed it, has been cut off/ })
  t.equal(node.chunks.length, 1, 'nothing of it came near a cell')
  out.clear()
  t.equal(await node.client.invoke('sweep'), 1)
})
