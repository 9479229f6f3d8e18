// The chain by itself: one form of a record, any change of a row found, proofs that lead from one head to another.

import t from 'tap'
import { createChainReader, digestOfStored, entryOf, follow, hashOfStored, startOf, storedText } from '../../../rmo/audit/chain.ts'
import type { AuditBody } from '../../../rmo/audit/chain.ts'
import { matcher } from '../../../rmo/audit/wire.ts'
import { fc } from '../../support/property.ts'

const NODE = 'n'.repeat(64)
const word = fc.string({ maxLength: 30, unit: 'binary' })
const body = fc.record({ principal: word, verb: word, object: word, error: fc.option(word, { nil: undefined }), tookMs: fc.option(fc.nat(), { nil: undefined }) })

function chained(bodies: readonly { readonly principal: string; readonly verb: string; readonly object: string; readonly error: string | undefined; readonly tookMs: number | undefined }[]): string[] {
  let previous = startOf(NODE)
  return bodies.map(({ error, tookMs, ...given }, n) => {
    const record: AuditBody = { seq: n + 1, atMs: n, node: NODE, phase: 'refused', operation: `op-${n}`, trace: 't', ...given, ...(error === undefined ? {} : { error }), ...(tookMs === undefined ? {} : { tookMs }) }
    const stored = storedText(previous, record)
    previous = hashOfStored(stored)
    return stored
  })
}
function read(rows: readonly string[]): ReturnType<ReturnType<typeof createChainReader>['end']> {
  const reader = createChainReader({ node: NODE, from: { size: 0, head: startOf(NODE) }, wanted: new Set() })
  for (const row of rows) reader.take(row)
  return reader.end()
}

t.test('a row as it was written has nothing wrong; its texts come back as they were', async () => {
  fc.assert(fc.property(fc.array(body, { maxLength: 12 }), (bodies) => {
    const rows = chained(bodies)
    const { findings, head } = read(rows)
    return findings.length === 0 && head.size === rows.length && rows.every((row, n) => entryOf(row).principal.isWellFormed() ? storedText(row.slice(0, 64), entryOf(row)) === row && entryOf(row).seq === n + 1 : true)
  }))
})

t.test('any change of any character is found, or changes the head', async () => {
  fc.assert(fc.property(fc.array(body, { minLength: 2, maxLength: 8 }), fc.nat(), fc.nat(), fc.string({ minLength: 1, maxLength: 1 }), (bodies, which, where, by) => {
    const rows = chained(bodies)
    const n = which % rows.length
    const row = rows[n] ?? ''
    const at = where % row.length
    if (row[at] === by) return true
    const whole = read(rows).head.head
    const changed = read(rows.with(n, row.slice(0, at) + by + row.slice(at + 1)))
    return changed.findings.length > 0 || changed.head.head !== whole
  }))
})

t.test('any other order, and any record left out, is found', async () => {
  fc.assert(fc.property(fc.array(body, { minLength: 2, maxLength: 8 }), fc.nat(), fc.nat(), (bodies, a, b) => {
    const rows = chained(bodies)
    const i = a % rows.length, j = b % rows.length
    const swapped = rows.with(i, rows[j] ?? '').with(j, rows[i] ?? '')
    const out = rows.toSpliced(i, 1)
    return (i === j || read(swapped).findings.length > 0) && (i === rows.length - 1 || read(out).findings.length > 0)
  }))
})

t.test('digests lead from any head to the later one, and nowhere else', async () => {
  fc.assert(fc.property(fc.array(body, { minLength: 1, maxLength: 10 }), fc.nat(), fc.nat(), (bodies, a, flip) => {
    const rows = chained(bodies)
    const from = a % rows.length
    const start = { size: from, head: from === 0 ? startOf(NODE) : hashOfStored(rows[from - 1] ?? '') }
    const proof = Buffer.concat(rows.slice(from).map(digestOfStored))
    const there = read(rows).head
    const reached = follow(start, proof)
    const at = flip % proof.length
    proof[at] = (proof[at] ?? 0) ^ 1
    return reached.head === there.head && reached.size === there.size && follow(start, proof).head !== there.head
  }))
})

t.test('a filter takes what it names and nothing near it', async (t) => {
  const entry = { seq: 1, atMs: 50, node: NODE, phase: 'intent', operation: 'o', trace: 't', principal: 'fn:keep@0123456789ab#7/user:alice', verb: 'start', object: 'VM/uuid-1', name: 'web1', previous: '' } as const
  const has = (query: object): boolean => matcher({ limit: 1, follow: false, ...query })(entry)
  t.ok(has({ object: 'vm:web1' }) && has({ object: 'VM/uuid-1' }) && has({ object: 'vm:uuid-1' }) && has({ user: 'alice' }) && has({ user: 'user:alice' }) && has({ sinceMs: 50 }) && has({}))
  t.notOk(has({ object: 'vm:web' }) || has({ object: 'web1' }) || has({ object: 'volume:web1' }) || has({ user: 'lice' }) || has({ user: 'alic' }) || has({ sinceMs: 51 }) || has({ user: 'bob' }))
})
