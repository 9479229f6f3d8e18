// Sixty ways to change a log afterwards, each found, and an honest one that is not (reliability.md 8). Who tampers has the node:
// its disk, and from "with the key" on its signing key too. Witnesses are other nodes.

import t from 'tap'
import { LIMITS, seededRandom } from '../../../fabric/base.ts'
import type { Random } from '../../../fabric/base.ts'
import { bodyText, entryOf, hashOfStored, startOf, storedText } from '../../../rmo/audit/chain.ts'
import type { AuditBody } from '../../../rmo/audit/chain.ts'
import { signCheckpoint, signCut } from '../../../rmo/audit/checkpoint.ts'
import type { Checkpoint } from '../../../rmo/audit/checkpoint.ts'
import { judgeAudit } from '../../../rmo/audit/verify.ts'
import type { AuditReport, WitnessWord } from '../../../rmo/audit/verify.ts'
import { act, openAuditLab } from '../../support/audit-lab.ts'
import type { AuditLab, AuditNode } from '../../support/audit-lab.ts'

const ACTS = 60

interface Copy { records: string[]; own: Checkpoint[]; cut: ReturnType<typeof signCut> | undefined; words: WitnessWord[] }

async function history(lab: AuditLab, n: number, acts = ACTS): Promise<void> {
  const { log, checkpoints } = lab.node(n)
  checkpoints.start()
  for (let i = 0; i < acts; i++) {
    await act(log, i, { object: `VM/web${i % 7}`, principal: `user:u${i % 3}` })
    lab.clock.advance(100)
    if (i % 4 === 0) await checkpoints.settle()
  }
  await checkpoints.settle()
}
const copyOf = (lab: AuditLab, { id, log, checkpoints }: AuditNode): Copy => ({
  records: [...log.stored(1, 10_000)], own: [...checkpoints.own()], cut: log.cut(),
  words: lab.nodes.filter((other) => other.id !== id).map((other) => ({ node: other.id, name: other.name, has: other.witness.of(id) })),
})
function verify({ id, name, signer }: AuditNode, { records, own, cut, words }: Copy): AuditReport {
  const judge = judgeAudit({ node: id, name, cut, own, words, verifier: signer, recordsMax: 40 })
  for (const row of records) judge.take(row)
  return judge.report()
}

/** The chain made anew over changed bodies, as one who has the disk can. */
function rechained(node: string, bodies: readonly AuditBody[]): string[] {
  let previous = startOf(node)
  return bodies.map((body, n) => {
    const stored = storedText(previous, { ...body, seq: n + 1 })
    previous = hashOfStored(stored)
    return stored
  })
}
const bodiesOf = (records: readonly string[]): AuditBody[] => records.map((row) => { const { previous: _previous, ...body } = entryOf(row); return body })
/** Own checkpoints made anew at the same sizes: with the node's key. */
const resigned = ({ signer }: AuditNode, own: readonly Checkpoint[], records: readonly string[]): Checkpoint[] =>
  own.filter(({ size }) => size <= records.length).map(({ signature: _signature, ...of }) => signCheckpoint({ ...of, head: hashOfStored(records[of.size - 1] ?? '') }, signer))

type Tampering = (copy: Copy, node: AuditNode, other: AuditNode, random: Random) => void
const change = (records: readonly string[], at: number, over: Partial<AuditBody>): AuditBody[] => bodiesOf(records).map((body, n) => (n === at ? { ...body, ...over } : body))

const TAMPERINGS: Readonly<Record<string, Tampering>> = {
  'the tail cut off': (copy, _node, _other, random) => { copy.records.splice(copy.records.length - 1 - random.int(40)) },
  'the last record cut off': (copy) => { copy.records.pop() },
  'the tail and its checkpoints cut off': (copy, _node, _other, random) => {
    copy.own = copy.own.slice(0, -1 - random.int(5))
    copy.records.splice(copy.own.at(-1)?.size ?? 0)
  },
  'two records changed over': (copy, _node, _other, random) => {
    const at = random.int(copy.records.length - 1)
    copy.records.splice(at, 2, copy.records[at + 1] ?? '', copy.records[at] ?? '')
  },
  'a record taken out': (copy, _node, _other, random) => { copy.records.splice(random.int(copy.records.length - 1), 1) },
  'a record rewritten in place': (copy, _node, _other, random) => {
    const at = random.int(copy.records.length)
    copy.records[at] = `${copy.records[at]?.slice(0, 64) ?? ''}${bodyText(change(copy.records, at, { principal: 'user:mallory' })[at] as AuditBody)}`
  },
  'a record written a second time': (copy, _node, _other, random) => { const at = random.int(copy.records.length); copy.records.splice(at, 0, copy.records[at] ?? '') },
  'all rewritten with new hashes': (copy, node, _other, random) => { copy.records = rechained(node.id, change(copy.records, random.int(copy.records.length), { verb: 'info' })) },
  'all rewritten and signed with the key': (copy, node, _other, random) => {
    copy.records = rechained(node.id, change(copy.records, random.int(copy.records.length), { verb: 'info' }))
    copy.own = resigned(node, copy.own, copy.records)
  },
  'a record taken out, all signed with the key': (copy, node, _other, random) => {
    const bodies = bodiesOf(copy.records)
    bodies.splice(random.int(bodies.length), 1)
    copy.records = rechained(node.id, bodies)
    copy.own = resigned(node, copy.own, copy.records)
  },
  'the tail cut off and signed anew with the key': (copy, node, _other, random) => {
    copy.records.splice(copy.records.length - 5 - random.int(40))
    copy.own = resigned(node, copy.own, copy.records)
  },
  'another node\'s log in its place': (copy, _node, other) => {
    copy.records = [...other.log.stored(1, 10_000)]
    copy.own = [...other.checkpoints.own()]
  },
  'the clock put back': (copy, node, _other, random) => {
    const at = 10 + random.int(copy.records.length - 10)
    copy.records = rechained(node.id, change(copy.records, at, { atMs: (bodiesOf(copy.records)[at]?.atMs ?? 0) - 5_000 }))
    copy.own = resigned(node, copy.own, copy.records)
    copy.words = copy.words.map((word) => ({ ...word, has: undefined }))
  },
  'a checkpoint taken out': (copy, _node, _other, random) => { copy.own.splice(random.int(copy.own.length), 1) },
  'all checkpoints taken out': (copy) => { copy.own = [] },
  'all rewritten, and one witness is silent': (copy, node, _other, random) => {
    copy.records = rechained(node.id, change(copy.records, random.int(copy.records.length), { object: 'VM/none' }))
    copy.own = resigned(node, copy.own, copy.records)
    const informed = copy.words.findIndex(({ has }) => (has?.checkpoints.length ?? 0) > 0)
    copy.words = copy.words.map((word, n) => (n === informed ? { ...word, has: undefined } : word))
  },
  'a witness tells what was never signed': (copy) => {
    copy.words = copy.words.map((word) => ({ ...word, has: word.has === undefined ? undefined : { ...word.has, checkpoints: word.has.checkpoints.map((checkpoint) => ({ ...checkpoint, size: checkpoint.size + 1 })) } }))
  },
  'the old end cut off without need': (copy, node, _other, random) => {
    const size = copy.records.length - 20 - random.int(10)
    copy.cut = signCut({ node: node.id, size, head: hashOfStored(copy.records[size - 1] ?? ''), atMs: 1 }, node.signer)
    copy.records.splice(0, size)
  },
  'the old end cut off without a signature': (copy, node) => {
    copy.cut = { node: node.id, size: 10, head: hashOfStored(copy.records[9] ?? ''), atMs: 1, signature: '' }
    copy.records.splice(0, 10)
  },
  'an outcome forged, all signed with the key': (copy, node, _other, random) => {
    const from = random.int(copy.records.length - 1)
    const at = bodiesOf(copy.records).find(({ phase, seq }) => phase === 'outcome' && seq > from)?.seq
    copy.records = rechained(node.id, bodiesOf(copy.records).map((body) => (body.seq === at ? { ...body, outcome: 'failed' as const, error: 'it was not me' } : body)))
    copy.own = resigned(node, copy.own, copy.records)
  },
}
const SEEDS = 3

t.test(`${Object.keys(TAMPERINGS).length * SEEDS} of ${Object.keys(TAMPERINGS).length * SEEDS} tamperings are found`, async (t) => {
  let found = 0
  for (let seed = 1; seed <= SEEDS; seed++) {
    const lab = openAuditLab(4)
    const acts = ACTS + 3 * seed
    await history(lab, 0, acts)
    await history(lab, 1, 30)
    const node = lab.node(0)
    const honest = verify(node, copyOf(lab, node))
    t.match(honest, { verdict: 'sound', findings: [], unmatched: 0, records: 2 * acts })
    t.equal(honest.witnesses.filter(({ says }) => says === 'agrees').length, LIMITS.auditWitnesses)
    for (const [what, tamper] of Object.entries(TAMPERINGS)) {
      const copy = copyOf(lab, node)
      tamper(copy, node, lab.node(1), seededRandom(seed))
      const { verdict } = verify(node, copy)
      if (verdict === 'tampered') found++
      else t.fail(`${what}, seed ${seed}: ${verdict}`)
    }
  }
  t.equal(found, Object.keys(TAMPERINGS).length * SEEDS)
  t.ok(found >= 60, `${found} of at least 60`)
})

t.test('a node that goes on from a log that was taken back is found by its witnesses at once, and for ever', async (t) => {
  const lab = openAuditLab(3)
  await history(lab, 0)
  const { store, log, checkpoints } = lab.node(0)
  await checkpoints.stop()
  const to = checkpoints.own().at(-5)
  if (to === undefined) throw new Error('no checkpoint')
  // What an old copy of its disk would have.
  const late = (prefix: string, from: number): { key: string; value: undefined }[] => store.range({ prefix, limit: 10_000 }).filter(({ key }) => Number(key.slice(-16)) > from).map(({ key }) => ({ key, value: undefined }))
  await store.write([...late('chain/', to.size), ...late('chain-of/', to.size), ...late('checkpoint/', to.ordinal)])
  t.ok(log.head().size > to.size)
  const back = lab.restart(0)
  for (let n = 0; n < 20; n++) {
    await act(back.log, `after-${n}`)
    await back.checkpoints.settle()
  }
  for (let n = 0; n < 100; n++) {
    await act(back.log, `flood-${n}`)
    await back.checkpoints.settle()
  }
  t.match(back.warned[0], /taken back or written anew/)
  const report = verify(back, copyOf(lab, back))
  t.equal(report.verdict, 'tampered')
  t.ok(report.findings.some(({ fault }) => fault === 'contradiction'), 'its own signatures contradict each other')
  t.ok(report.witnesses.every(({ says }) => says === 'contradicts'))
})
