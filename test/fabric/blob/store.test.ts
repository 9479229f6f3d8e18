// The blob store: bounds, restarts, damage, full disks; and transfer between nodes that lie.

import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'tap'
import type { BlobFs } from '../../../fabric/blob/disk.ts'
import { createBlobStore, hashOf } from '../../../fabric/blob/store.ts'
import { fetchBlob, fetchBlobFromAny, serveBlobs } from '../../../fabric/blob/transfer.ts'
import { LIMITS } from '../../../fabric/limits.ts'
import { SimClock } from '../../../fabric/sim-clock.ts'
import { createPair, failure } from '../../support/rpc-pair.ts'

async function directory(t: { after(clean: () => Promise<void>): void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'kumoi-blob-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}
const blob = (seed: number, bytes = 1_000): Uint8Array => new Uint8Array(bytes).map((_, i) => seed + i * 7)
const fileOf = (at: string, hash: string): string => `${at}/${hash.slice(0, 2)}/${hash}`

test('what is added is found by its hash, in memory and after a restart', async (t) => {
  const at = await directory(t)
  const store = await createBlobStore({ directory: at })
  const hash = store.add(blob(1))
  t.equal(hash, hashOf(blob(1)))
  t.equal(store.has(hash), true)
  t.strictSame(store.peek(hash), blob(1))
  t.strictSame(await store.get(hash), blob(1))
  t.equal(await store.get(hashOf(blob(2))), undefined)
  await store.flush()
  const again = await createBlobStore({ directory: at })
  t.equal(again.peek(hash), undefined)
  t.ok(Buffer.from(await again.get(hash) ?? []).equals(blob(1)))
  t.ok(again.peek(hash), 'in memory after the first read')
  t.match(again.stats(), { memoryBytes: 1_000, diskBytes: 1_000, hits: 1, misses: 0 })
})

test('bytes that are not their hash do not get in', async (t) => {
  const store = await createBlobStore()
  t.throws(() => store.put(hashOf(blob(1)), blob(2), 'beta'), { code: 'FABRIC_ERR_BLOB_MISMATCH', message: /beta/ })
  t.equal(store.has(hashOf(blob(1))), false)
  t.throws(() => store.add(new Uint8Array(LIMITS.blobBytesMax + 1)), { code: 'FABRIC_ERR_BLOB_TOO_LARGE' })
})

test('memory is bounded, least recently used goes first; disk still has it', async (t) => {
  const at = await directory(t)
  const store = await createBlobStore({ directory: at, memoryBytes: 2_500 })
  const [a, b] = [store.add(blob(1)), store.add(blob(2))]
  store.peek(a)
  const c = store.add(blob(3))
  t.equal(store.peek(b), undefined)
  t.ok(store.peek(a) && store.peek(c))
  t.ok(await store.get(b), 'also while its write is under way')
  t.ok(store.stats().memoryBytes <= 2_500)
  await store.flush()
})

test('disk is bounded, least recently used goes first, also over a restart', async (t) => {
  const at = await directory(t)
  const clock = new SimClock({ wallStartMs: 1_000_000_000_000 })
  const options = { directory: at, memoryBytes: 0, diskBytes: 3_500, clock }
  const store = await createBlobStore(options)
  const hashes: string[] = []
  for (const seed of [1, 2, 3]) {
    hashes.push(store.add(blob(seed)))
    await store.flush()
    await fs.utimes(fileOf(at, hashes.at(-1) as string), seed, seed)
  }
  const again = await createBlobStore(options)
  await again.get(hashes[0] as string)
  const fourth = again.add(blob(4))
  await again.flush()
  t.strictSame([...hashes, fourth].map((hash) => again.has(hash)), [true, false, true, true])
  t.ok(again.stats().diskBytes <= 3_500)
  const smaller = await createBlobStore({ ...options, diskBytes: 1_000 })
  t.equal(smaller.stats().diskBytes, 1_000)
})

test('a damaged file is deleted and counts as missing; litter of a crash is swept', async (t) => {
  const at = await directory(t)
  const store = await createBlobStore({ directory: at, memoryBytes: 0 })
  const hash = store.add(blob(1))
  await store.flush()
  await writeFile(fileOf(at, hash), blob(2))
  await writeFile(`${at}/${hash.slice(0, 2)}/.half.written`, 'x')
  const warnings: string[] = []
  const again = await createBlobStore({ directory: at, memoryBytes: 0, warn: (message) => warnings.push(message) })
  t.equal(await again.get(hash), undefined)
  t.equal(again.has(hash), false)
  t.match(warnings, [/damaged/])
  t.strictSame(await readdir(`${at}/${hash.slice(0, 2)}`), [])
  again.add(blob(1))
  await again.flush()
  t.ok(await again.get(hash), 'can be stored again')
  await rm(fileOf(at, hash))
  t.equal(await again.get(hash), undefined, 'removed behind our back')
})

test('a full disk: a warning, and the blob stays in memory', async (t) => {
  const at = await directory(t)
  const warnings: string[] = []
  const full: BlobFs = { ...fs as BlobFs, writeFile: () => Promise.reject(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })) }
  const store = await createBlobStore({ directory: at, fs: full, warn: (message) => warnings.push(message) })
  const hash = store.add(blob(1))
  await store.flush()
  t.strictSame(await store.get(hash), blob(1))
  t.match(warnings, [/memory only/])
  await writeFile(join(at, 'a-file'), '')
  const nowhere = await createBlobStore({ directory: join(at, 'a-file', 'below'), warn: (message) => warnings.push(message) })
  t.ok(await nowhere.get(nowhere.add(blob(1))), 'no directory at all')
})

test('blobs travel: small, large, empty; missing ones say so', async (t) => {
  const store = await createBlobStore()
  const { client, registry } = createPair()
  serveBlobs(registry, store, 'beta')
  for (const bytes of [0, 1, 5_000, 3_000_000]) {
    const hash = store.add(blob(bytes, bytes))
    const got = await fetchBlob(client, hash)
    t.equal(hashOf(got), hash)
    t.equal(got.byteLength, got.buffer.byteLength, 'exactly its size')
  }
  t.match(await failure(fetchBlob(client, hashOf(blob(77)))), { code: 'FABRIC_ERR_BLOB_MISSING', message: /beta/ })
  t.match(await failure(fetchBlob(client, '../../etc/passwd')), { code: 'FABRIC_ERR_BLOB_MISSING' })
  t.match(await failure(fetchBlob(client, store.add(blob(9, 10_000)), { maxBytes: 9_999 })), { code: 'FABRIC_ERR_BLOB_TOO_LARGE' })
})

test('a peer that sends other bytes, nothing, too much or nonsense is found out; the next one is asked', async (t) => {
  const good = createPair()
  const store = await createBlobStore()
  serveBlobs(good.registry, store, 'good')
  const hash = store.add(blob(1, 500_000))
  const liars = {
    other: blob(2, 500_000), nothing: new Uint8Array(), text: 'not bytes', empty: 'empty', longer: 'longer',
  }
  const peers = Object.values(liars).map((lie) => {
    const pair = createPair()
    pair.registry.stream('blob.get', async (_body, { signal }, stream) => {
      if (lie === 'longer') for (;;) { signal.throwIfAborted(); await stream.write(blob(3, 100_000)) }
      if (lie === 'empty') await stream.write(new Uint8Array())
      else if (typeof lie === 'string') await stream.write(lie)
      else for (let at = 0; at < lie.length; at += 100_000) await stream.write(lie.subarray(at, at + 100_000))
      return null
    })
    return pair.client
  })
  for (const peer of peers) t.match((await failure(fetchBlob(peer, hash, { maxBytes: 2_000_000 }))).code, /FABRIC_ERR_BLOB_(MISMATCH|TOO_LARGE)/)
  t.equal(hashOf(await fetchBlobFromAny([...peers, good.client], hash, { maxBytes: 2_000_000 })), hash)
  t.match(await failure(fetchBlobFromAny([], hash)), { code: 'FABRIC_ERR_BLOB_MISSING' })
  t.match((await failure(fetchBlobFromAny(peers.slice(0, 1), hash))).code, 'FABRIC_ERR_BLOB_MISMATCH')
})
