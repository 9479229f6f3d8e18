// Records as they stand in the store: one text for equal data, nothing let through that is not whole and signed.

import { fc } from '../../support/property.ts'
import t from 'tap'
import { errorCode, seededRandom } from '../../../fabric/base.ts'
import { extendChain, foundChain } from '../../../fabric/identity/certificate.ts'
import type { Chain } from '../../../fabric/identity/certificate.ts'
import { keysFromSeed } from '../../../fabric/identity/keys.ts'
import { createCertifiedSigner } from '../../../fabric/mod.ts'
import type { CertifiedSigner } from '../../../fabric/mod.ts'
import { canonicalJson, encodeStored, openFunction, openVersion, signFunction, signVersion } from '../../../functions/catalog/records.ts'
import type { FunctionManifest } from '../../../functions/mod.ts'

const random = seededRandom(3)
const keys = (): ReturnType<typeof keysFromSeed> => keysFromSeed(random.bytes(32))
const fabric = keys()
const founder = keys()
const member = keys()
const founderChain = foundChain(fabric, founder.id)
const signerOf = (own: ReturnType<typeof keys>, chain: Chain, of = fabric.id): CertifiedSigner => createCertifiedSigner({ keys: own, fabric: () => ({ id: of, chain }) })
const signer = signerOf(founder, founderChain)
const hash = 'ab'.repeat(32)
const body = { name: 'hot', aliases: { stable: { version: hash } }, history: [], paused: false, generation: 1, by: 'local:0', atMs: 1 }
const manifest: FunctionManifest = {
  name: 'hot', description: '', version: hash, bytes: 10, sourceMap: hash, triggers: [{ type: 'every', everyMs: 5_000 }, { type: 'event', kind: 'VM', events: ['started'], where: { __proto__: 'x', host: 'a' }, filtered: true }],
  rights: ['vm:read'], singleton: true, target: 'node:a', limits: { timeoutMs: 1, heapLimitMiB: 2, cpuTimeMs: 3, concurrency: 4, queue: 5 }, retry: { attempts: 1, backoffMs: 2 },
  secrets: [], packages: [{ name: 'left-pad', version: '1.0.0' }], files: ['hot.ts'],
}
const codeOf = (work: () => unknown): string | undefined => { try { work(); return undefined } catch (error) { return errorCode(error) } }
const UNSIGNED = 'FUNCTIONS_ERR_FUNCTION_UNSIGNED'
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (stored: Uint8Array): string => new TextDecoder().decode(stored)

t.test('canonical JSON: equal data, one text, and it comes back', (t) => {
  const shuffled = (value: unknown): unknown => (Array.isArray(value) ? value.map(shuffled) : typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value).toReversed().map(([key, item]) => [key, shuffled(item)])) : value)
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    const written = canonicalJson(value)
    return written === canonicalJson(shuffled(value)) && canonicalJson(JSON.parse(written)) === written
  }))
  t.equal(canonicalJson({ b: 1, a: [undefined, null].slice(1), c: undefined }), '{"a":[null],"b":1}')
  t.end()
})

t.test('a record opens under its own key, for every node of the fabric', (t) => {
  const record = signFunction(body, signer)
  const version = signVersion({ manifest, by: 'local:0', atMs: 2 }, signer)
  const other = signerOf(member, extendChain(fabric.id, founderChain, founder, member.id))
  for (const judge of [signer, other]) {
    t.same(openFunction('hot', encodeStored(record), judge), record)
    t.same(openVersion('hot', hash, encodeStored(version), judge), version)
  }
  t.same(openFunction('hot', encodeStored(signFunction(body, other)), signer).node, member.id, 'a member that others admitted')
  t.equal(codeOf(() => openFunction('cold', encodeStored(record), signer)), UNSIGNED)
  t.equal(codeOf(() => openVersion('cold', hash, encodeStored(version), signer)), UNSIGNED)
  t.equal(codeOf(() => openVersion('hot', 'cd'.repeat(32), encodeStored(version), signer)), UNSIGNED)
  t.end()
})

t.test('who is not of this fabric signs nothing', (t) => {
  const stranger = keys()
  const strange = keys()
  const foreign = signerOf(strange, foundChain(stranger, strange.id), stranger.id)
  t.equal(codeOf(() => openFunction('hot', encodeStored(signFunction(body, foreign)), signer)), UNSIGNED, 'another fabric')
  const borrowed = signerOf(strange, founderChain)
  t.equal(codeOf(() => openFunction('hot', encodeStored(signFunction(body, borrowed)), signer)), UNSIGNED, "another's certificate")
  const claimed = { ...borrowed, node: founder.id }
  t.equal(codeOf(() => openFunction('hot', encodeStored(signFunction(body, claimed)), signer)), UNSIGNED, "another's certificate and name")
  t.equal(codeOf(() => openFunction('hot', encodeStored(signFunction(body, signerOf(strange, []))), signer)), UNSIGNED, 'none')
  const asVersion = signVersion({ manifest, by: 'local:0', atMs: 1 }, signer).signature
  t.equal(codeOf(() => openFunction('hot', encodeStored({ ...signFunction(body, signer), signature: asVersion }), signer)), UNSIGNED, 'a signature of something else')
  t.end()
})

t.test('any byte that is changed is found, and nothing but a refusal comes of any bytes', (t) => {
  const stored = encodeStored(signVersion({ manifest, by: 'local:0', atMs: 2 }, signer))
  fc.assert(fc.property(fc.nat(stored.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
    const altered = Uint8Array.from(stored)
    altered[at] = (altered[at] as number) ^ by
    return codeOf(() => openVersion('hot', hash, altered, signer)) === UNSIGNED
  }), { numRuns: 300 })
  fc.assert(fc.property(fc.oneof(fc.uint8Array(), fc.jsonValue().map((value) => bytes(JSON.stringify(value)))), (any) => codeOf(() => openFunction('hot', any, signer)) === UNSIGNED))
  t.end()
})

t.test('well signed and not well-formed: refused all the same', (t) => {
  const wrong: readonly object[] = [
    { ...manifest, rights: 'vm:read' }, { ...manifest, name: 'Not A Name' }, { ...manifest, bytes: -1 }, { ...manifest, extra: 1 }, { ...manifest, triggers: [{ type: 'never' }] }, { ...manifest, target: 'everywhere' },
    { ...manifest, description: 'x'.repeat(10_000) }, { ...manifest, rights: Array.from({ length: 1_000 }, () => 'vm:read') }, { ...manifest, version: 'short' },
  ]
  for (const made of wrong) t.equal(codeOf(() => openVersion('hot', hash, encodeStored(signVersion({ manifest: made as FunctionManifest, by: 'local:0', atMs: 1 }, signer)), signer)), UNSIGNED, Object.keys(made).join(',').slice(0, 20))
  t.equal(codeOf(() => openFunction('hot', encodeStored(signFunction({ ...body, aliases: {} }, signer)), signer)), UNSIGNED, 'no stable version')
  t.equal(codeOf(() => openFunction('hot', encodeStored(signFunction({ ...body, aliases: { stable: { version: hash, percent: 100 } } }, signer)), signer)), UNSIGNED)
  t.match(text(encodeStored(signFunction(body, signer))), /^\{"aliases":\{"stable":\{"version":"(ab)+"\}\},"atMs":1,"by":"local:0",/)
  t.end()
})
