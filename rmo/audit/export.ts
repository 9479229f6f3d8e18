// Logs as a file, one JSON value a line: of each node a header (its cut, its checkpoints, what its witnesses have), then its
// records, each with its hash. Whoever has the file and knows the fabric's id can verify it without any node; the header's
// own word on the fabric is not proof of which fabric it is.

import { createHash } from 'node:crypto'
import { RMO } from '../errors.ts'
import { bodyText, entryOf, hashOfStored } from './chain.ts'
import type { AuditBody } from './chain.ts'
import { readCheckpoint, readCut } from './checkpoint.ts'
import type { AuditVerifier, Checkpoint, Cut } from './checkpoint.ts'
import { judgeAudit } from './verify.ts'
import type { AuditJudge, AuditReport, WitnessWord } from './verify.ts'
import { fieldsOf, readWitnessed } from './wire.ts'

const FORMAT = 'kumoi-audit-1'

export interface ExportHeader {
  readonly fabric: string
  readonly node: string
  readonly name: string
  readonly atMs: number
  readonly cut: Cut | null
  readonly own: readonly Checkpoint[]
  readonly words: readonly WitnessWord[]
}

export const exportHeader = (header: ExportHeader): string => JSON.stringify({ format: FORMAT, ...header, words: header.words.map(({ node, name, has }) => ({ node, name, has: has ?? null })) })
export const exportLine = (stored: string): string => {
  const { previous, ...body } = entryOf(stored)
  return JSON.stringify({ ...body, previous, hash: hashOfStored(stored) })
}

function readHeader(value: Readonly<Record<string, unknown>>, file: string): ExportHeader {
  const { fabric, node, name, atMs, cut, own, words } = value
  if (typeof fabric !== 'string' || typeof node !== 'string' || typeof name !== 'string' || typeof atMs !== 'number' || !Array.isArray(own) || !Array.isArray(words)) throw RMO.AUDIT_FILE({ file, reason: 'its header is not whole' })
  return {
    fabric, node, name, atMs, cut: readCut(cut) ?? null, own: own.map(readCheckpoint).filter((checkpoint) => checkpoint !== undefined),
    words: words.map((given): WitnessWord => {
      const word = fieldsOf(given)
      return { node: String(word['node']), name: String(word['name']), has: word['has'] === null ? undefined : readWitnessed(word['has']) }
    }),
  }
}

/** What is stored of an exported record; the hash beside it is for people, and is checked by what follows from it. */
function storedOf(value: Readonly<Record<string, unknown>>): string {
  const { previous, hash: _hash, ...body } = value
  return `${String(previous)}${bodyText(body as unknown as AuditBody)}`
}

/** Judges a file, line by line. `verifierOf` makes a verifier for the fabric that the file names. Throws AUDIT_FILE. */
export async function verifyExport(lines: AsyncIterable<string>, { file, verifierOf }: { readonly file: string; readonly verifierOf: (fabric: string) => AuditVerifier }): Promise<{ readonly fabric: string; readonly reports: readonly AuditReport[]; readonly sha256: string }> {
  const reports: AuditReport[] = []
  const digest = createHash('sha256')
  let fabric: string | undefined
  let judge: AuditJudge | undefined
  for await (const line of lines) {
    digest.update(line).update('\n')
    let value: Readonly<Record<string, unknown>>
    try { value = fieldsOf(JSON.parse(line)) } catch { throw RMO.AUDIT_FILE({ file, reason: 'a line of it is not JSON' }) }
    if (value['format'] === FORMAT) {
      if (judge !== undefined) reports.push(judge.report())
      const header = readHeader(value, file)
      fabric ??= header.fabric
      judge = judgeAudit({ ...header, cut: header.cut ?? undefined, verifier: verifierOf(fabric) })
    } else if (judge === undefined) throw RMO.AUDIT_FILE({ file, reason: 'it does not begin with a header' })
    else judge.take(storedOf(value))
  }
  if (judge === undefined || fabric === undefined) throw RMO.AUDIT_FILE({ file, reason: 'it is empty' })
  reports.push(judge.report())
  return { fabric, reports, sha256: digest.digest('hex') }
}
