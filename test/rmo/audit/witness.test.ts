// A witness believes what goes on from what it has, and nothing else can make it forget that.

import t from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import { digestOfStored } from '../../../rmo/audit/chain.ts'
import { signCheckpoint } from '../../../rmo/audit/checkpoint.ts'
import type { Checkpoint } from '../../../rmo/audit/checkpoint.ts'
import { witnessesOf } from '../../../rmo/audit/checkpointer.ts'
import { judgeAudit } from '../../../rmo/audit/verify.ts'
import { NOTHING_WITNESSED, witness } from '../../../rmo/audit/witness.ts'
import type { Witnessed } from '../../../rmo/audit/witness.ts'
import { act, openAuditLab } from '../../support/audit-lab.ts'

const checkpoint = (ordinal: number, size: number, head: string): Checkpoint => ({ node: 'n', ordinal, size, head: head.repeat(64), atMs: 0, signature: `${ordinal}${size}${head}` })
const NONE = new Uint8Array(0)

t.test('a later checkpoint without a proof is asked for it, however often it comes', async (t) => {
  let state: Witnessed = witness(NOTHING_WITNESSED, { shown: checkpoint(1, 10, 'a'), from: 10, digests: NONE }).state
  for (let n = 0; n < 200; n++) {
    const step = witness(state, { shown: checkpoint(2 + n, 20 + n, 'b'), from: 10, digests: new Uint8Array(32 * (10 + n)) })
    t.same(step.answer, { answer: 'prove', from: 10 })
    state = step.state
  }
  t.same(state.checkpoints, [checkpoint(1, 10, 'a')], 'what it has stays')
})

t.test('signed checkpoints that cannot both be true are kept as evidence, a few of them', async (t) => {
  const first = witness(NOTHING_WITNESSED, { shown: checkpoint(5, 50, 'a'), from: 50, digests: NONE }).state
  for (const [what, shown] of [['back in size', checkpoint(6, 40, 'b')], ['another head', checkpoint(6, 50, 'b')], ['the same ordinal again', checkpoint(5, 60, 'b')], ['an older ordinal that is larger', checkpoint(4, 60, 'b')]] as const) {
    const { state, answer } = witness(first, { shown, from: 50, digests: NONE })
    t.match([answer.answer, state.contradictions, state.checkpoints], ['contradiction', [{ held: checkpoint(5, 50, 'a'), shown }], [checkpoint(5, 50, 'a')]], what)
  }
  t.equal(witness(first, { shown: checkpoint(4, 40, 'c'), from: 40, digests: NONE }).answer.answer, 'known', 'an older one that may well be true')
  t.equal(witness(first, { shown: checkpoint(6, 50, 'a'), from: 50, digests: NONE }).answer.answer, 'kept', 'nothing new in it')
  let state = first
  for (let n = 0; n < 20; n++) state = witness(state, { shown: checkpoint(6 + n, 40, 'b'), from: 0, digests: NONE }).state
  t.equal(state.contradictions.length, LIMITS.auditConflictsKept)
})

t.test('a witness that was away for long is brought up to now step by step; a false step leads nowhere', async (t) => {
  const lab = openAuditLab(3)
  const { log, checkpoints, id, signer } = lab.node(0)
  checkpoints.start()
  for (let n = 0; n < 5; n++) await act(log, n)
  await checkpoints.settle()
  const [first] = witnessesOf(id, lab.nodes.map((node) => node.id))
  const away = lab.nodes.find((node) => node.id === first)
  if (away === undefined) throw new Error('no witness')
  const before = away.witness.of(id).checkpoints.at(-1)
  away.away = true
  for (let at = 0; at < LIMITS.auditProofRecords / 2 + 10; at += 64) await Promise.all(Array.from({ length: 64 }, (_, n) => act(log, at + n)))
  await checkpoints.settle()
  t.equal(away.witness.of(id).checkpoints.at(-1)?.size, before?.size)
  away.away = false
  await act(log, 'last')
  await checkpoints.settle()
  t.equal(away.witness.of(id).checkpoints.at(-1)?.size, log.head().size)
  t.ok(log.head().size - (before?.size ?? 0) > LIMITS.auditProofRecords, 'more than one step')

  const { size, head } = log.head()
  const forged = signCheckpoint({ node: id, ordinal: 1_000, size: size + 5, head: head.replace(/./g, 'a'), atMs: 0 }, signer)
  t.match(await away.witness.show({ shown: forged, from: size, digests: Buffer.alloc(5 * 32) }), { answer: 'prove' })
  t.equal(await away.witness.show({ shown: { ...forged, size }, from: size, digests: NONE }), undefined, 'not signed so')
  t.equal(Buffer.concat(log.stored(1, 2).map(digestOfStored)).length, 64)
})

t.test('a log that ends before what its witness has was cut off, in these words', async (t) => {
  const lab = openAuditLab(2)
  const { log, checkpoints, id, name, signer } = lab.node(0)
  checkpoints.start()
  for (let n = 0; n < 10; n++) await act(log, n)
  await checkpoints.settle()
  const has = lab.node(1).witness.of(id)
  const judge = judgeAudit({ node: id, name, cut: undefined, own: checkpoints.own(), words: [{ node: lab.node(1).id, name: 'n1', has }, { node: 'x', name: 'n2', has: undefined }], verifier: signer })
  for (const row of log.stored(1, 12)) judge.take(row)
  const { verdict, findings, witnesses } = judge.report()
  t.equal(verdict, 'tampered')
  t.ok(findings.some(({ fault, text }) => fault === 'truncated' && text.endsWith('says there were 20 records; there are 12')))
  t.same(witnesses.map(({ says }) => says), ['contradicts', 'away'])
})
