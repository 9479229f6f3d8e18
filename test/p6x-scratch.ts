import { copyFileSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, truncateSync, writeSync, closeSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { seededRandom } from '../fabric/base.ts'
import { SimClock } from '../fabric/sim-clock.ts'
import { openEmbeddedStore } from '../fabric/store/embedded.ts'
const open = (directory: string) => openEmbeddedStore({ directory, description: 'embedded at alpha', clock: new SimClock(), random: seededRandom(1) })
if (process.argv[2] === 'child') {
  try { const s = await open(process.argv[3]!); const r = await s.range('', { limit: 1000 }); console.log('opened', r.entries.length, r.revision, r.entries.every((e) => e.value.length === 300)); await s.transact({ then: [{ do: 'put', key: 'zz', value: new Uint8Array(5) }] }); console.log('wrote'); await s.close() } catch (e) { console.log('ERR', (e as any).code, (e as Error).message.slice(0, 150)) }
  process.exit(0)
}
const root = mkdtempSync(join(tmpdir(), 'kumoi-p6x-'))
const dir = join(root, 'store'); const s = await open(dir)
for (let i = 0; i < 300; i++) await s.transact({ then: [{ do: 'put', key: `k${i}`, value: new Uint8Array(300).fill(7) }] })
await s.close()
console.log(readdirSync(dir).map((f) => [f, statSync(join(dir, f)).size]))
const data = readdirSync(dir).find((f) => /data|mdb$/.test(f) && !/lock/.test(f))!
const size = statSync(join(dir, data)).size
const damage: Record<string, (f: string) => void> = {
  none: () => {}, zero: (f) => truncateSync(f, 0), half: (f) => truncateSync(f, size >> 1), header: (f) => truncateSync(f, 4096), short: (f) => truncateSync(f, 100),
  garbageHead: (f) => { const h = openSync(f, 'r+'); writeSync(h, Buffer.alloc(8192, 0xaa), 0, 8192, 0); closeSync(h) },
  garbageMeta1: (f) => { const h = openSync(f, 'r+'); writeSync(h, Buffer.alloc(4096, 0xaa), 0, 4096, 4096); closeSync(h) },
  garbageMiddle: (f) => { const h = openSync(f, 'r+'); writeSync(h, Buffer.alloc(8192, 0xaa), 0, 8192, (size >> 2) & ~4095); closeSync(h) },
  zeroTail: (f) => { const h = openSync(f, 'r+'); const n = size - 8192; writeSync(h, Buffer.alloc(n, 0), 0, n, 8192); closeSync(h) },
  garbageTail: (f) => { const h = openSync(f, 'r+'); const n = size - 8192; writeSync(h, Buffer.alloc(n, 0xaa), 0, n, 8192); closeSync(h) },
  text: (f) => writeFileSync(f, 'hello'), bitflips: (f) => { const h = openSync(f, 'r+'); for (let at = 8192 + 600; at < size; at += 4096) writeSync(h, Buffer.from([0x55, 0x55, 0x55]), 0, 3, at); closeSync(h) },
}
for (const [what, harm] of Object.entries(damage)) {
  const copy = join(root, what); mkdirSync(copy); for (const f of readdirSync(dir)) if (statSync(join(dir, f)).isFile()) copyFileSync(join(dir, f), join(copy, f))
  harm(join(copy, data))
  const r = spawnSync(process.execPath, ['--no-node-snapshot', import.meta.filename, 'child', copy], { timeout: 20_000 })
  console.log(what, '->', r.signal ?? r.status, r.stdout.toString().trim().replaceAll('\n', ' | '), r.stderr.toString().slice(0, 200))
}
rmSync(root, { recursive: true })
