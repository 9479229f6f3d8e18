// Status records beside the work: the newest only, and a promise is withdrawn in the store before it is broken.

import t from 'tap'
import { systemClock } from '../../../fabric/base.ts'
import { createStatusWriter } from '../../../kali/agent/status-writer.ts'
import type { IntentRecord, StatusRecord } from '../../../kali/cloud/contract.ts'

const INTENT = { epoch: 1 } as IntentRecord

function slowBook() {
  const written: StatusRecord[] = []
  const waiting: { readonly record: StatusRecord; done(): void; fail(error: Error): void }[] = []
  return {
    written, waiting,
    status: (record: StatusRecord): Promise<void> => new Promise((resolve, reject) => {
      waiting.push({ record, done() { waiting.shift(); written.push(record); resolve() }, fail(error) { waiting.shift(); reject(error) } })
    }),
  }
}
const turns = async (): Promise<void> => { for (let i = 0; i < 10; i++) await undefined }
const writerOver = (book: ReturnType<typeof slowBook>, stored?: StatusRecord) => createStatusWriter({ vm: 'v', machine: 'm', stored: () => stored, book, clock: systemClock, retry: () => {} })

t.test('what is told while a record is being written is one record more, the last', async (t) => {
  const book = slowBook(), writer = writerOver(book)
  for (const phase of ['creating', 'starting', 'running'] as const) {
    writer.tell(INTENT, { phase }, 0)
    await turns()
  }
  t.equal(book.waiting.length, 1)
  book.waiting[0]?.done()
  await turns()
  book.waiting[0]?.done()
  await turns()
  t.same(book.written.map(({ phase }) => phase), ['creating', 'running'])
  t.equal(book.waiting.length, 0)
  writer.stop()
})

t.test('a promise stands until the store has another phase', async (t) => {
  const crashed: StatusRecord = { uuid: 'v', machine: 'm', epoch: 1, phase: 'crashed', sinceMs: 0, attempts: 0 }
  const book = slowBook(), writer = writerOver(book, crashed)
  writer.tell(INTENT, { phase: 'starting' }, 0)
  let withdrawn = false
  const asked = writer.withdrawn('crashed').then(() => { withdrawn = true })
  await turns()
  t.notOk(withdrawn, 'not before it is written')
  book.waiting[0]?.done()
  await asked
  t.same(book.written.map(({ phase }) => phase), ['starting'])
  await writer.withdrawn('crashed')
  writer.stop()
})

t.test('a promise that cannot be withdrawn is not broken', async (t) => {
  const crashed: StatusRecord = { uuid: 'v', machine: 'm', epoch: 1, phase: 'crashed', sinceMs: 0, attempts: 0 }
  const book = slowBook(), writer = writerOver(book, crashed)
  writer.tell(INTENT, { phase: 'starting' }, 0)
  const asked = writer.withdrawn('crashed')
  await turns()
  book.waiting[0]?.fail(new Error('the store is away'))
  await t.rejects(asked, /away/)
  await t.rejects(writer.withdrawn('crashed'), { code: 'KALI_ERR_CHANGED' }, 'and nothing is left to write')
  writer.stop()
})
