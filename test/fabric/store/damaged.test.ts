// A database on disk that was cut off, overwritten or emptied: said by name when it is opened, and never an empty store, or a
// part of it, in place of the one that was acknowledged.

import { closeSync, cpSync, mkdtempSync, openSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { seededRandom } from '../../../fabric/base.ts'
import { openLocalStore } from '../../../fabric/local-store.ts'
import { SimClock } from '../../../fabric/sim-clock.ts'
import { openEmbeddedStore } from '../../../fabric/store/embedded.ts'
import type { StoreEngine } from '../../../fabric/store/engine.ts'

const FAILED = { code: 'FABRIC_ERR_STORE_FAILED' }
const PAGE = 4_096
const root = mkdtempSync(join(tmpdir(), 'kumoi-damaged-'))
t.teardown(() => rmSync(root, { recursive: true, force: true }))

const open = (directory: string, as?: 'kept'): Promise<StoreEngine> => openEmbeddedStore({ directory, description: 'embedded at alpha', clock: new SimClock(), random: seededRandom(1), ...(as === undefined ? {} : { as }) })
const whole = join(root, 'whole')
const store = await open(whole)
for (let n = 0; n < 200; n++) await store.transact({ then: [{ do: 'put', key: `k${n}`, value: new Uint8Array(300).fill(7) }] })
await store.close()
const size = statSync(join(whole, 'data.mdb')).size

function overwrite(file: string, at: number, bytes: Uint8Array): void {
  const handle = openSync(file, 'r+')
  writeSync(handle, bytes, 0, bytes.byteLength, at)
  closeSync(handle)
}

const DAMAGE: Readonly<Record<string, (file: string) => void>> = {
  'emptied': (file) => truncateSync(file, 0),
  'cut off in the first page': (file) => truncateSync(file, 100),
  'cut off after the first page': (file) => truncateSync(file, PAGE),
  'cut off after both meta pages': (file) => truncateSync(file, 2 * PAGE),
  'another file in its place': (file) => writeFileSync(file, 'hello'),
  'its first pages overwritten': (file) => overwrite(file, 0, Buffer.alloc(2 * PAGE, 0xaa)),
  'its second page overwritten': (file) => overwrite(file, PAGE, Buffer.alloc(PAGE, 0xaa)),
  'zeros from the third page on': (file) => overwrite(file, 2 * PAGE, Buffer.alloc(size - 2 * PAGE)),
  'garbage from the third page on': (file) => overwrite(file, 2 * PAGE, Buffer.alloc(size - 2 * PAGE, 0xaa)),
}

t.test('the store of a founder', async (t) => {
  for (const [what, harm] of Object.entries(DAMAGE)) {
    const directory = join(root, what.replaceAll(' ', '-'))
    cpSync(whole, directory, { recursive: true })
    harm(join(directory, 'data.mdb'))
    await t.rejects(open(directory, 'kept'), FAILED, what)
  }
  const again = await open(whole, 'kept')
  t.equal((await again.range('', { limit: 1_000 })).entries.length, 200, 'what is whole opens')
  await again.close()
})

t.test('a page in the midst of it: all of it or none, never a part that looks whole', (t) => {
  // In a process of its own: LMDB itself may give up on what it finds there.
  const script = `
    import { openEmbeddedStore } from ${JSON.stringify(new URL('../../../fabric/store/embedded.ts', import.meta.url).href)}
    import { seededRandom, systemClock } from ${JSON.stringify(new URL('../../../fabric/base.ts', import.meta.url).href)}
    try {
      const store = await openEmbeddedStore({ directory: process.argv[1], description: 'x', clock: systemClock, random: seededRandom(1), as: 'kept' })
      console.log((await store.range('', { limit: 1000 })).entries.length)
    } catch (error) { console.log(error.code) }
    process.exit(0)`
  const seen = new Map<string, number>()
  for (let page = 2; page < size / PAGE; page += Math.ceil(size / PAGE / 4)) {
    const directory = join(root, `page-${page}`)
    cpSync(whole, directory, { recursive: true })
    overwrite(join(directory, 'data.mdb'), page * PAGE, Buffer.alloc(PAGE, 0))
    const { stdout, signal } = spawnSync(process.execPath, ['--input-type=module', '--no-node-snapshot', '-e', script, directory], { encoding: 'utf8' })
    const said = signal ?? stdout.trim()
    seen.set(said, (seen.get(said) ?? 0) + 1)
  }
  t.comment([...seen].map(([said, times]) => `${said}: ${times}`).join(', '))
  for (const said of seen.keys()) t.match(said, /^(200|FABRIC_ERR_STORE_FAILED|SIG[A-Z]+)$/)
  t.end()
})

t.test('a store that was made and never written to opens again; one that is to be there and is not, does not', async (t) => {
  const fresh = join(root, 'fresh')
  await (await open(fresh)).close()
  await (await open(fresh, 'kept')).close()
  await t.rejects(open(join(root, 'nowhere'), 'kept'), FAILED)
})

t.test('the local store of a node', async (t) => {
  const directory = join(root, 'local')
  const local = await openLocalStore(directory)
  await local.write([{ key: 'a', value: 'b' }])
  await local.close()
  const file = statSync(directory).isDirectory() ? join(directory, 'data.mdb') : directory
  truncateSync(file, 2 * PAGE)
  await t.rejects(openLocalStore(directory), FAILED)
})
