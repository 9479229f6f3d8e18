// Servers whose certificate holds and whose answers do not: of another kind, cut off, too long, odd. Accepted: 0.

import t from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import { OPERATION } from '../../../kali/trust/ldap-message.ts'
import { ALICE, alice, ber, entry, honest, message, result } from '../../support/ldap-server.ts'
import type { Answers } from '../../support/ldap-server.ts'
import { slapdAbsent as skip } from '../../support/slapd.ts'
import { AWAY, REFUSED, bindSays, directoryOf, done, each, except, login, outcomeOf, overStartTls, searchSays, serverOf, settingsOf, yes } from './ldap-lab.ts'

t.test('an honest server', { skip }, async (t) => {
  const server = await serverOf(t, honest)
  t.same(await directoryOf(settingsOf(server.port)).authenticate(login), { name: 'alice', dn: ALICE, groups: [] })
  t.same(server.passwords, ['alice-secret'])
  const late = await serverOf(t, honest, { startTls: honest })
  t.same((await directoryOf(settingsOf(late.port, overStartTls(late.port))).authenticate(login)).dn, ALICE, 'over StartTLS')
  const named = await serverOf(t, searchSays(entry(ALICE, { uid: ['alice'], dn: ['uid=root,dc=lab'], constructor: ['x'] }), done))
  t.equal((await directoryOf(settingsOf(named.port)).authenticate(login)).dn, ALICE, 'an attribute called dn is not the DN')
  const drip = await serverOf(t, (question) => {
    for (const byte of honest(question)!) question.socket.write(Buffer.from([byte]))
    return undefined
  })
  t.equal((await directoryOf(settingsOf(drip.port)).authenticate(login)).dn, ALICE, 'answers that come a byte at a time')
})

t.test('answers to a bind', { skip }, async (t) => {
  const cases: readonly (readonly [string, string, Answers])[] = [
    ...[10, 19, 32, 48, 49, 50, 53].map((code) => [`code ${code}`, REFUSED, bindSays((id) => message(id, result(OPERATION.bindResponse, code)))] as const),
    ...[1, 2, 3, 7, 8, 13, 14, 51, 52, 80, 127].map((code) => [`code ${code}`, AWAY, bindSays((id) => message(id, result(OPERATION.bindResponse, code)))] as const),
    ['of another kind: search done', AWAY, bindSays((id) => message(id, done))],
    ['of another kind: extended', AWAY, bindSays((id) => message(id, result(OPERATION.extendedResponse, 0)))],
    ['of another kind: an entry', AWAY, bindSays((id) => message(id, alice))],
    ['of a kind that does not exist', AWAY, bindSays((id) => message(id, result(0x7e, 0)))],
    ['with another number', AWAY, bindSays((id) => message(id + 1, yes))],
    ['with number 0', AWAY, bindSays(() => message(0, result(OPERATION.extendedResponse, 52)))],
    ['without anything in it', AWAY, bindSays((id) => message(id, ber(OPERATION.bindResponse)))],
    ['with a result only', AWAY, bindSays((id) => message(id, ber(OPERATION.bindResponse, ber(0x0a, Buffer.from([0])))))],
    ['with a result of no bytes', AWAY, bindSays((id) => message(id, ber(OPERATION.bindResponse, ber(0x0a), ber(4), ber(4))))],
    ['with a result of five bytes', AWAY, bindSays((id) => message(id, ber(OPERATION.bindResponse, ber(0x0a, Buffer.alloc(5)), ber(4), ber(4))))],
    ['with a negative result', AWAY, bindSays((id) => message(id, ber(OPERATION.bindResponse, ber(0x0a, Buffer.from([0x80])), ber(4), ber(4))))],
    ['with a result that is a number', AWAY, bindSays((id) => message(id, ber(OPERATION.bindResponse, ber(0x02, Buffer.from([0])), ber(4), ber(4))))],
    ['of two operations', AWAY, bindSays((id) => ber(0x30, ber(2, Buffer.from([id])), yes, yes))],
    ['twice', AWAY, except(OPERATION.search, (id) => Buffer.concat([message(id, alice), message(id, done), message(id + 1, yes)]))],
    ['wrong, and right behind it', AWAY, bindSays((id) => Buffer.concat([message(id, result(OPERATION.bindResponse, 49)), message(id, yes)]))],
    ['an indefinite length', AWAY, bindSays(() => Buffer.from([0x30, 0x80, 0x02, 0x01, 0x03, 0x61, 0, 0]))],
    ['a length of five bytes', AWAY, bindSays(() => Buffer.from([0x30, 0x85, 0, 0, 0, 0, 7]))],
    ['a length of a gigabyte', AWAY, bindSays(() => Buffer.from([0x30, 0x84, 0x40, 0, 0, 0]))],
    ['HTTP', AWAY, bindSays(() => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))],
    ['zeros', AWAY, bindSays(() => Buffer.alloc(64))],
  ]
  await each(cases, async ([title, code, answers]) => t.equal((await outcomeOf(t, answers)).code, code, `${title}: ${code}`))
})

t.test('answers to a search', { skip }, async (t) => {
  const user = (attributes: Readonly<Record<string, readonly (string | Uint8Array)[]>>, dn: string | Uint8Array = ALICE): Buffer => entry(dn, attributes)
  const twice = ber(OPERATION.searchEntry, ber(4, ALICE), ber(0x30, ...[0, 1].map(() => ber(0x30, ber(4, 'uid'), ber(0x31, ber(4, 'alice'))))))
  const elsewhere = ber(OPERATION.searchReference, ber(4, 'ldap://127.0.0.1:1/'))
  const cases: readonly (readonly [string, string, Answers])[] = [
    ['nothing', REFUSED, searchSays(done)],
    ['two entries', REFUSED, searchSays(alice, user({ uid: ['alice'] }, 'uid=alice,ou=other,dc=lab'), done)],
    ['one entry twice', REFUSED, searchSays(alice, alice, done)],
    ['one entry, and that there are more', REFUSED, searchSays(alice, result(OPERATION.searchDone, 4))],
    ['references only', REFUSED, searchSays(elsewhere, elsewhere, done)],
    ['a referral', REFUSED, searchSays(result(OPERATION.searchDone, 10))],
    ['an entry and a referral', REFUSED, searchSays(alice, result(OPERATION.searchDone, 10))],
    ...[1, 2, 3, 11, 32, 50, 51, 52, 53, 80].map((code) => [`an entry and code ${code}`, AWAY, searchSays(alice, result(OPERATION.searchDone, code))] as const),
    ['an empty DN', REFUSED, searchSays(user({ uid: ['alice'] }, ''), done)],
    ['a blank DN', REFUSED, searchSays(user({ uid: ['alice'] }, ' '), done)],
    ['a DN that is another way to bind', REFUSED, searchSays(user({ uid: ['alice'] }, 'EXTERNAL'), done)],
    ['and another', REFUSED, searchSays(user({ uid: ['alice'] }, 'PLAIN'), done)],
    ['a DN with NUL', REFUSED, searchSays(user({ uid: ['alice'] }, 'uid=alice\0,dc=lab'), done)],
    ['a DN that is huge', REFUSED, searchSays(user({ uid: ['alice'] }, `uid=${'a'.repeat(5_000)}`), done)],
    ['a DN that is not UTF-8', AWAY, searchSays(user({ uid: ['alice'] }, Buffer.from('uid=\xff,dc=lab', 'latin1')), done)],
    ['no name', REFUSED, searchSays(user({}), done)],
    ['no value', REFUSED, searchSays(user({ uid: [] }), done)],
    ['another name', REFUSED, searchSays(user({ uid: ['bob'] }), done)],
    ['two names', REFUSED, searchSays(user({ uid: ['alice', 'al'] }), done)],
    ['the attribute twice', REFUSED, searchSays(twice, done)],
    ['the attribute in two cases', REFUSED, searchSays(user({ uid: ['alice'], UID: ['alice'] }), done)],
    ['a name in a language', REFUSED, searchSays(user({ 'uid;lang-en': ['alice'] }), done)],
    ['a name of wide letters', REFUSED, searchSays(user({ uid: ['ａｌｉｃｅ'] }), done)],
    ['a name with a space', REFUSED, searchSays(user({ uid: ['alice '] }), done)],
    ['a name with a byte order mark', REFUSED, searchSays(user({ uid: ['\ufeffalice'] }), done)],
    ['a name that is not UTF-8', AWAY, searchSays(user({ uid: [Buffer.from([0xff])] }), done)],
    ['a value that is cut off', AWAY, searchSays(ber(OPERATION.searchEntry, ber(4, ALICE), Buffer.from([0x30, 0x20, 0x30, 0x05])), done)],
    ['bytes behind the attributes', AWAY, searchSays(ber(OPERATION.searchEntry, ber(4, ALICE), ber(0x30), ber(4, 'x')), done)],
    ['attributes that are a set', AWAY, searchSays(ber(OPERATION.searchEntry, ber(4, ALICE), ber(0x31)), done)],
    ['a success of a bind', AWAY, searchSays(alice, yes)],
    ['an answer that is too long', AWAY, searchSays(user({ uid: ['alice'], memberOf: ['x'.repeat(LIMITS.directoryAnswerBytesMax)] }), done)],
    ['entries without end', AWAY, searchSays(...Array.from({ length: 40_000 }, () => alice), done)],
    ['references without end', AWAY, searchSays(alice, ...Array.from({ length: 60_000 }, () => elsewhere), done)],
    ['part of the groups', AWAY, searchSays(user({ uid: ['alice'], 'memberOf;range=0-1': ['cn=a,dc=lab', 'cn=b,dc=lab'] }), done)],
    ['too many groups', AWAY, searchSays(user({ uid: ['alice'], memberOf: Array.from({ length: LIMITS.userGroupsMax + 1 }, (_, at) => `cn=g${at},dc=lab`) }), done)],
  ]
  await each(cases, async ([title, code, answers]) => t.equal((await outcomeOf(t, answers)).code, code, `${title}: ${code}`))
})

t.test('groups that are named oddly are left out, not guessed', { skip }, async (t) => {
  const memberOf = ['cn=Ops,dc=lab', 'cn=ops,ou=b,dc=lab', 'cn=two  spaces,dc=lab', 'cn=ｗｉｄｅ,dc=lab', 'ou=none,dc=lab', 'not a name', '', 'cn=,dc=lab', 'cn=a\\,b,dc=lab', 'cn=Domain Admins+ou=x,dc=lab', 'cn=#0403616263,dc=lab', 'cn=\\6fps2,dc=lab']
  const server = await serverOf(t, searchSays(entry(ALICE, { uid: ['alice'], memberof: memberOf }), done))
  t.same((await directoryOf(settingsOf(server.port)).authenticate(login)).groups, ['domain admins', 'ops', 'ops2'])
})
