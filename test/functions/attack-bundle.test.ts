// Scripts that no builder made, deployed by their bytes: what they say of themselves is read in a sandbox and judged, and what
// they do to their realm stays there.

import t from 'tap'
import { describeBundle } from '../../functions/bundle/describe.ts'
import { manifestOf } from '../../functions/bundle/manifest.ts'
import type { FunctionManifest } from '../../functions/deployed.ts'
import { invocationOf, runScript } from '../support/bundles.ts'
import { never, openSandbox, sha256, valuesOf } from '../support/sandbox.ts'

const { sandbox, close } = await openSandbox()
t.teardown(close)

const script = (text: string): Uint8Array => new TextEncoder().encode(text)
/** `definition` and `before` are text of the script. */
const bundle = (definition: string, before = ''): Uint8Array => script(`(environment, runtime) => runtime.bundle(environment, ($kumoi) => { ${before}; return { definition: $kumoi.defineFunction(${definition}), sites: [] } })`)
const HONEST = '{ name: \'hot\', run() { return 1 } }'
const manifest = async (bytes: Uint8Array): Promise<FunctionManifest> =>
  manifestOf(await describeBundle(sandbox, bytes, 'fn/local:0', never), { version: sha256(bytes), bytes: bytes.length, sourceMap: sha256(''), packages: [], files: [] }, { cron: () => undefined })

t.test('what is no definition is refused, typed', async (t) => {
  const refused: Readonly<Record<string, readonly [Uint8Array, RegExp]>> = {
    'a field of its prototype': [bundle('JSON.parse(\'{"name":"hot","__proto__":{"rights":["*:*"]}}\')'), /VALUE_UNSUPPORTED|DEFINITION_INVALID/],
    'a where of prototypes': [bundle('{ name: \'hot\', trigger: { on: \'VM\', where: JSON.parse(\'{"__proto__":"x"}\') }, run() {} }'), /VALUE_UNSUPPORTED|DEFINITION_INVALID/],
    'a thenable': [bundle('{ name: \'hot\', run() {}, then(done) { done({ name: \'other\', run: { function: \'x\' } }) } }'), /DEFINITION_INVALID/],
    'a name in another alphabet': [bundle('{ name: \'h\u043et\', run() {} }'), /DEFINITION_INVALID/],
    'a huge description': [bundle('{ name: \'hot\', description: \'x\'.repeat(1e6), run() {} }'), /VALUE_TOO_LARGE/],
    'a million rights': [bundle('{ name: \'hot\', rights: Array(1e6).fill(\'vm:read\'), run() {} }'), /VALUE_TOO_LARGE/],
    'a cycle': [bundle('(() => { const d = { name: \'hot\', run() {} }; d.limits = d; return d })()'), /VALUE_UNSUPPORTED|DEFINITION_INVALID/],
    'text that is no program': [script('}) => {'), /PROGRAM_BROKEN/],
    'bytes that are no text': [new Uint8Array([0xff, 0xfe, 0x28]), /PROGRAM_BROKEN/],
    'a throw of what cannot be looked at': [bundle(HONEST, 'throw new Proxy({}, { get() { throw 1 }, has() { throw 1 }, getPrototypeOf() { throw 1 } })'), /PROGRAM_BROKEN|THROWN/],
    'all memory': [bundle(HONEST, 'const a = []; for (;;) a.push(new Array(1e6).fill(1))'), /SANDBOX_(MEMORY|CRASH)/],
    'a realm in ruins': [bundle(HONEST, 'Array.prototype.push = Array.isArray = Object.keys = JSON.stringify = Map.prototype.get = Promise.prototype.then = () => { throw new Error(\'mine\') }'), /_ERR_/],
  }
  for (const [what, [bytes, code]] of Object.entries(refused)) await t.rejects(manifest(bytes), { code }, what)
  t.match(await manifest(bundle(HONEST)), { name: 'hot', rights: [] }, 'and the next one is read as ever')
})

t.test('what a script says is what is held against it: nothing comes in by another way', async (t) => {
  t.match(await manifest(bundle(HONEST, 'Object.prototype.rights = [\'*:*\']; Object.prototype.singleton = true; Object.prototype.secrets = [\'key\']')), { rights: [], singleton: false, secrets: [] }, 'prototypes')
  const own = script('(environment, runtime) => (invocation) => invocation.what === \'describe\' ? { name: \'hot\', run: { function: \'x\' } } : 5')
  t.match(await manifest(own), { name: 'hot', rights: [], triggers: [] }, 'an entry of its own has the rights that it said, none')
  t.same(valuesOf(await runScript(sandbox, own, [invocationOf(own, 'run')])), [5])
})

t.test('functions of one deployer share a cell, and no realm', async (t) => {
  const same = { principal: 'fn/local:0' }
  const spy = bundle('{ name: \'spy\', run() { globalThis.leak = 1; Object.prototype.leaked = 1; Array.prototype.map = () => \'patched\'; return 1 } }')
  const other = bundle('{ name: \'other\', run: () => [typeof globalThis.leak, typeof ({}).leaked, [1].map((x) => x + 1)] }')
  for (let n = 0; n < 3; n++) {
    t.same(valuesOf(await runScript(sandbox, spy, [invocationOf(spy, 'run')], same)), [1])
    t.same(valuesOf(await runScript(sandbox, other, [invocationOf(other, 'run')], same)), [['undefined', 'undefined', [2]]])
  }
})
