// Records to bytes and back; what is no record is refused by name; what an agent or a policy is given cannot crash a watch.

import { fc } from '../../support/property.ts'
import t from 'tap'
import { errorCode } from '../../../fabric/base.ts'
import { decisionKey, nameProblem, watchedKey } from '../../../kali/cloud/keys.ts'
import { decodeRecord, encodeRecord, RECORDS, storedRecord } from '../../../kali/cloud/read.ts'
import type { RecordKind } from '../../../kali/cloud/read.ts'
import type { IntentRecord } from '../../../kali/cloud/records.ts'
import { groupRecord, intentRecord, placed, poolRecord, sized } from '../../support/cloud-book.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (value: Uint8Array): string => new TextDecoder().decode(value)
const protection = { restarts: 1, relocations: 1, windowMs: 1, onGuestShutdown: 'leave', priority: 0, armed: false } as const

t.test('what is written is read again; equal records are equal bytes; revision is not written', (t) => {
  fc.assert(fc.property(fc.record({ reason: fc.string({ unit: 'grapheme', maxLength: 50 }), vcpus: fc.nat(64), labels: fc.dictionary(fc.string({ minLength: 1 }), fc.string()), epoch: fc.nat(), armed: fc.boolean() }), ({ reason, vcpus, labels, epoch, armed }) => {
    const intent = placed('a', 'm1', { reason, epoch, settings: { ...sized('a', vcpus), labels }, protection: { ...protection, armed } })
    const value = encodeRecord(RECORDS.intent, intent)
    const read = storedRecord(RECORDS.intent, { value, modRevision: 7 })
    const { revision, ...without } = read
    if (revision !== 7 || text(encodeRecord(RECORDS.intent, read)) !== text(value)) throw new Error('revision')
    const turned = Object.fromEntries(Object.entries(without).reverse()) as unknown as IntentRecord
    if (text(encodeRecord(RECORDS.intent, turned)) !== text(value)) throw new Error('order')
  }))
  t.same(decodeRecord(RECORDS.group, encodeRecord(RECORDS.group, groupRecord('g'))), groupRecord('g'))
  t.same(decodeRecord(RECORDS.pool, encodeRecord(RECORDS.pool, poolRecord())), poolRecord())
  t.end()
})

t.test('any bytes and any JSON are a record, or KALI_ERR_RECORD_INVALID', (t) => {
  const kinds = Object.values(RECORDS) as readonly RecordKind<unknown>[]
  const attempt = (value: Uint8Array): void => {
    for (const kind of kinds) {
      try { decodeRecord(kind, value) } catch (error) { if (errorCode(error) !== 'KALI_ERR_RECORD_INVALID') throw error }
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), attempt))
  fc.assert(fc.property(fc.json(), (json) => attempt(bytes(json))))
  // A true record with one field replaced.
  const whole = JSON.parse(text(encodeRecord(RECORDS.intent, placed('a', 'm1', { protection })))) as Record<string, unknown>
  fc.assert(fc.property(fc.constantFrom(...Object.keys(whole)), fc.jsonValue(), (field, value) => attempt(bytes(JSON.stringify({ ...whole, [field]: value })))))
  t.end()
})

t.test('the message names the field', (t) => {
  const refuse = (change: Record<string, unknown>): string => {
    try { encodeRecord(RECORDS.intent, { ...intentRecord('a'), ...change }) } catch (error) { return (error as Error).message }
    return 'accepted'
  }
  t.match(refuse({ desired: 'perhaps' }), /desired of a intent must be running, stopped, absent, got "perhaps"/)
  t.match(refuse({ settings: { ...sized('a'), vcpus: '4' } }), /settings\.vcpus of a intent.*got "4"/)
  t.match(refuse({ epoch: 1.5 }), /epoch/)
  t.match(refuse({ epoch: NaN }), /epoch/)
  t.match(refuse({ protection: { ...protection, priority: Infinity } }), /protection\.priority/)
  t.match(refuse({ machine: null }), /machine/)
  t.match(refuse({ reason: '\ud800' }), /reason/)
  t.end()
})

t.test('keys: what is watched, names, decisions in order', (t) => {
  t.same(watchedKey('cloud/rule/p1/one two'), { type: 'rule', id: 'p1/one two' })
  t.same(watchedKey('cloud/quota/account/a/b'), { type: 'quota', id: 'account/a/b' })
  t.same([watchedKey('cloud/mode'), watchedKey('cloud/mode/x'), watchedKey('cloud/later/x'), watchedKey('cloud/x')], [{ type: 'mode', id: 'mode' }, undefined, undefined, undefined])
  t.same(['web-1', 'näme 雲', 'a.b'].map(nameProblem), [undefined, undefined, undefined])
  for (const name of ['', '/', 'a/b', 'a\u0007', ' a', '\ud800', 'x'.repeat(200)]) t.ok(nameProblem(name), JSON.stringify(name))
  fc.assert(fc.property(fc.nat(2 ** 31), fc.nat(2 ** 31), fc.nat(100), fc.nat(100), (a, b, m, n) => {
    const earlier = decisionKey('p', a, m, 'x') < decisionKey('p', b, n, 'x')
    if (earlier !== (a > b || (a === b && m > n))) throw new Error('order')
  }))
  t.end()
})
