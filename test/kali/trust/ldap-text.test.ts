// Escaping in filters and DNs, reading DNs, reading what a server says: properties, and the examples of the RFCs.

import { FilterParser } from 'ldapts'
import t from 'tap'
import { Malformed, OPERATION, frameOf, readAnswer } from '../../../kali/trust/ldap-message.ts'
import { escapeDn, escapeFilter, isBelow, parseDn } from '../../../kali/trust/ldap-text.ts'
import { alice, ber, message, result } from '../../support/ldap-server.ts'
import { fc } from '../../support/property.ts'

/** Texts with much of what must be escaped. */
const nasty = fc.array(fc.oneof(fc.constantFrom(...'*()\\\0"+,;<>=# /&|!~:\n'), fc.string({ unit: 'grapheme', maxLength: 4 })), { maxLength: 12 }).map((parts) => parts.join(''))

t.test('filters (RFC 4515)', (t) => {
  t.equal(escapeFilter('Parens R Us (for all your parenthetical needs)'), 'Parens R Us \\28for all your parenthetical needs\\29')
  t.equal(escapeFilter('*'), '\\2a')
  t.equal(escapeFilter('C:\\MyFile'), 'C:\\5cMyFile')
  t.equal(escapeFilter('\0'), '\\00')
  t.equal(escapeFilter('Lučić'), 'Lučić')
  fc.assert(fc.property(nasty, (text) => {
    const filter = FilterParser.parseString(`(&(objectClass=person)(uid=${escapeFilter(text)}))`) as unknown as { readonly filters: readonly { readonly attribute: string; readonly value: string }[] }
    return filter.filters.length === 2 && filter.filters[1]!.attribute === 'uid' && filter.filters[1]!.value === text
  }))
  t.end()
})

t.test('distinguished names (RFC 4514)', (t) => {
  t.equal(escapeDn('James "Jim" Smith, III'), 'James \\"Jim\\" Smith\\, III')
  t.equal(escapeDn(' '), '\\ ')
  t.equal(escapeDn('# a '), '\\# a\\ ')
  fc.assert(fc.property(nasty, nasty, (a, b) => {
    t.strictSame(parseDn(`cn=${escapeDn(a)}+sn=${escapeDn(b)},dc=lab`), [[{ attribute: 'cn', value: a }, { attribute: 'sn', value: b }], [{ attribute: 'dc', value: 'lab' }]])
  }), { numRuns: 200 })
  t.same(parseDn('UID=jsmith , DC=example,dc= net ')?.map((rdn) => rdn[0]!), [{ attribute: 'uid', value: 'jsmith' }, { attribute: 'dc', value: 'example' }, { attribute: 'dc', value: 'net' }])
  t.same(parseDn('CN=Lu\\C4\\8Di\\C4\\87')?.[0]?.[0]?.value, 'Lučić')
  t.same(parseDn(''), [])
  for (const text of ['EXTERNAL', '=x', 'cn', 'cn=a,', ',cn=a', 'cn=a,,dc=b', 'cn=a\\', 'cn=a\\x', 'cn="a"', 'cn=#04', 'cn=a;dc=b', 'cn=a\0', 'cn=\\ff', 'c n=a', 'cn=a+', '-cn=a']) t.equal(parseDn(text), undefined, JSON.stringify(text))
  fc.assert(fc.property(nasty, (text) => { parseDn(text) }))
  const below = (dn: string, base: string): boolean => isBelow(parseDn(dn)!, parseDn(base)!)
  t.ok(below('cn=ops,OU=Groups,dc=LAB', 'ou=groups, dc=lab'))
  t.notOk(below('ou=groups,dc=lab', 'ou=groups,dc=lab'), 'not at it')
  t.notOk(below('cn=ops,ou=other,dc=lab', 'ou=groups,dc=lab'))
  t.notOk(below('cn=ops\\,ou=groups\\,dc=lab,dc=lab', 'ou=groups,dc=lab'), 'a value that looks like a base')
  t.notOk(below('dc=lab', 'ou=groups,dc=lab'))
  t.end()
})

t.test('what a server says is read, or refused; nothing else', (t) => {
  t.same(readAnswer(message(3, result(OPERATION.bindResponse, 49))), { type: 'result', id: 3, operation: OPERATION.bindResponse, code: 49 })
  t.same(readAnswer(message(3, alice)), { type: 'entry', id: 3, dn: 'uid=alice,ou=people,dc=lab', attributes: [{ type: 'uid', values: ['alice'] }] })
  const read = (bytes: Uint8Array): 'read' | 'refused' => {
    try {
      frameOf(bytes)
      readAnswer(bytes)
      return 'read'
    } catch (error) {
      if (!(error instanceof Malformed)) throw error
      return 'refused'
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => { read(bytes) }), { numRuns: 2_000 })
  const whole = [message(3, alice), message(3, result(OPERATION.bindResponse, 0)), message(3, ber(OPERATION.searchReference, ber(4, 'ldap://x')))]
  fc.assert(fc.property(fc.constantFrom(...whole), fc.nat(), fc.nat({ max: 255 }), (bytes, at, byte) => {
    const bent = Buffer.from(bytes)
    bent[at % bent.length] = byte
    read(bent)
  }), { numRuns: 2_000 })
  for (const bytes of whole) for (let end = 0; end < bytes.length; end++) t.equal(read(bytes.subarray(0, end)), 'refused', `cut off at ${end}`)
  t.end()
})
