// What the audit adds to a privileged verb: an intent on a real disk before it, its outcome with the next one. Beside it, what
// a write of that disk costs by itself, and what verification takes.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { seededRandom, systemClock } from '../../fabric/base.ts'
import { foundChain } from '../../fabric/identity/certificate.ts'
import { keysFromSeed } from '../../fabric/identity/keys.ts'
import { createCertifiedSigner, openLocalStore } from '../../fabric/mod.ts'
import { signCheckpoint } from '../../rmo/audit/checkpoint.ts'
import { createAuditLog } from '../../rmo/audit/log.ts'
import { judgeAudit } from '../../rmo/audit/verify.ts'
import { act } from '../support/audit-lab.ts'
import { aside, quantile, standalone, timed } from './figure.ts'
import type { Bench, Figure } from './figure.ts'

const ALONE = 300
const ROUNDS = 30
const TOGETHER = 64

async function figures(): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-bench-audit-'))
  const store = await openLocalStore(join(directory, 'store'))
  try {
    const random = seededRandom(3)
    const fabric = keysFromSeed(random.bytes(32)), keys = keysFromSeed(random.bytes(32))
    const signer = createCertifiedSigner({ keys, fabric: () => ({ id: fabric.id, chain: foundChain(fabric, keys.id) }) })
    const log = createAuditLog({ store, clock: systemClock, node: keys.id, signer })
    await timed(50, (n) => act(log, `warm-${n}`))
    const disk = await timed(ALONE, (n) => store.write([{ key: `bench/${n}`, value: 'x'.repeat(500) }]))
    const alone = await timed(ALONE, (n) => act(log, n))
    const together = (await timed(ROUNDS, () => Promise.all(Array.from({ length: TOGETHER }, (_, n) => act(log, n))))).map((ms) => ms / TOGETHER)
    await log.flush()
    const { size, head } = log.head()
    const sign = await timed(200, (n) => signCheckpoint({ node: keys.id, ordinal: n, size, head, atMs: 0 }, signer))
    const judged = await timed(5, () => {
      const judge = judgeAudit({ node: keys.id, name: 'bench', cut: undefined, own: [], words: [], verifier: signer })
      for (const row of log.stored(1, size)) judge.take(row)
      judge.report()
    })
    await log.close()
    return [
      aside('a write of the local store by itself, p50', quantile(disk, 0.5), 'ms', disk.length),
      aside('audit adds to a privileged verb, one after another, p50', quantile(alone, 0.5), 'ms', alone.length),
      aside('audit adds to a privileged verb, one after another, p99', quantile(alone, 0.99), 'ms', alone.length),
      aside(`audit adds to a privileged verb, ${TOGETHER} at once, each, p50`, quantile(together, 0.5), 'ms', ROUNDS * TOGETHER),
      aside('a checkpoint signed, p50', quantile(sign, 0.5) * 1_000, 'us', sign.length),
      aside('verification, a record', quantile(judged, 0.5) * 1_000 / size, 'us', size),
    ]
  } finally {
    await store.close()
    await rm(directory, { recursive: true, force: true })
  }
}

export const bench: Bench = { name: 'audit', run: figures }

if (import.meta.main) await standalone(bench)
