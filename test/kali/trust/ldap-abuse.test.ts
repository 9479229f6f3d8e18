// Abuse of logins against a real slapd that says yes to binds without a password (bind_anon_cred): names and passwords that must
// not get in, settings and certificates that must not be spoken to. Accepted: 0.

import t from 'tap'
import { errorCode, systemClock } from '../../../fabric/base.ts'
import type { LdapSettings } from '../../../kali/trust/contract.ts'
import { createLdapDirectory } from '../../../kali/trust/ldap.ts'
import { ALICE_PASSWORD, READER_PASSWORD, slapdAbsent, startSlapd } from '../../support/slapd.ts'

const REFUSED = 'KALI_ERR_LOGIN_REFUSED', NAME = 'KALI_ERR_TRUST_NAME', AWAY = 'KALI_ERR_DIRECTORY_AWAY', SETTINGS = 'KALI_ERR_DIRECTORY_SETTINGS'
interface Case { readonly title: string; readonly name: string; readonly password: string; readonly code: string; readonly settings?: Partial<LdapSettings>; readonly reader?: string }

const passwords: readonly [string, string][] = [
  ['empty', ''], ['a space', ' '], ['spaces', '   '], ['a tab', '\t'], ['a line', '\n'], ['a line of Windows', '\r\n'], ['NUL', '\0'], ['NUL and the password', `\0${ALICE_PASSWORD}`], ['the password and NUL', `${ALICE_PASSWORD}\0`],
  ['a no-break space', '\u00a0'], ['a zero-width space', '\u200b'], ['joiners', '\u200c\u200d'], ['a soft hyphen', '\u00ad'], ['a byte order mark', '\ufeff'], ['an ideographic space', '\u3000'], ['a Hangul filler', '\u3164'],
  ['a turn of direction', '\u202e'], ['a variation selector', '\ufe0f'], ['half a letter', '\ud800'], ['half a letter in it', `${ALICE_PASSWORD}\udfff`], ['controls', '\x01\x7f'], ['huge', 'x'.repeat(2_000)], ['huge in bytes', 'é'.repeat(600)],
  ['wrong', 'wrong'], ['of another case', ALICE_PASSWORD.toUpperCase()], ['with a space behind', `${ALICE_PASSWORD} `], ['with a space before', ` ${ALICE_PASSWORD}`], ['a star', '*'], ['of another user', 'bob-secret'], ['a hash form', '{CLEARTEXT}correct horse'],
  ['a filter', ')(uid=*'], ['with an invisible character', `${ALICE_PASSWORD}\u200b`],
]
const names: readonly [string, string, string?][] = [
  ['empty', '', NAME], ['a star', '*', NAME], ['begins, star', 'al*', NAME], ['an injection', ')(uid=*))(|(uid=*', NAME], ['an injection that closes', 'alice)(objectClass=*', NAME], ['an "or"', '*)(|(uid=alice', NAME],
  ...'()*\\\0"+,;<=>#/&|!:~@%\'`{}[]^$ \t\n\r'.split('').flatMap((char): [string, string, string][] => [[`${JSON.stringify(char)} behind`, `alice${char}`, NAME], [`${JSON.stringify(char)} before`, `${char}alice`, NAME]]),
  ['an escape of a filter', 'ali\\63e', NAME], ['a DN', 'uid=alice,ou=people,dc=lab', NAME], ['a DN of the reader', 'cn=reader,dc=lab', NAME], ['a place above', '../alice', NAME],
  ['wide letters', 'ａｌｉｃｅ', NAME], ['Cyrillic a', 'аlice', NAME], ['Greek', 'αlice', NAME], ['a ligature', 'oﬃce', NAME], ['long s', 'aliſe', NAME], ['Kelvin', 'fran\u212a', NAME], ['a dotted I', 'al\u0130ce', NAME], ['a dotless i', 'al\u0131ce', NAME],
  ['an accent that combines', 'ali\u0301ce', NAME], ['superscript', 'alice²', NAME], ['bold letters', '𝐚𝐥𝐢𝐜𝐞', NAME], ['a turn of direction', '\u202ealice', NAME], ['a mark of direction', 'alice\u200e', NAME], ['a zero-width space', 'ali\u200bce', NAME],
  ['a joiner', 'ali\u200dce', NAME], ['a byte order mark', '\ufeffalice', NAME], ['a no-break space', 'alice\u00a0', NAME], ['a soft hyphen', 'ali\u00adce', NAME], ['a hyphen before', '-alice', NAME], ['a dot before', '.alice', NAME],
  ['huge', 'a'.repeat(1_000_000), NAME], ['one too long', 'a'.repeat(64), NAME], ['half a letter', 'alice\ud800', NAME],
  ['nobody', 'nobody'], ['the reader', 'reader'], ['the root', 'root'], ['longest', 'a'.repeat(63)], ['__proto__', '__proto__', NAME], ['constructor', 'constructor'],
]
const others: readonly Omit<Case, 'code'>[] = [
  { title: 'two entries of one name', name: 'twin', password: 'twin-secret' },
  { title: 'an entry with two names, the first', name: 'dave', password: 'dave-secret' },
  { title: 'an entry with two names, the second', name: 'davey', password: 'dave-secret' },
  { title: 'a locked account', name: 'erin', password: 'erin-secret' },
  { title: 'an entry without a password', name: 'nopass', password: 'anything' },
  { title: 'outside the user base', name: 'olga', password: 'olga-secret', settings: { userBase: 'ou=people,dc=lab' } },
  { title: 'references only', name: 'alice', password: ALICE_PASSWORD, settings: { userBase: 'ou=away,dc=lab' } },
  { title: 'a referral', name: 'alice', password: ALICE_PASSWORD, settings: { userBase: 'ou=there,ou=away,dc=lab' } },
  { title: 'the name is of an attribute that the entry has not', name: 'alice', password: ALICE_PASSWORD, settings: { userFilter: '(mail={name})' } },
  { title: 'a filter that finds him by what is not his name', name: 'alice', password: 'bob-secret', settings: { userFilter: '(|(uid=bob)(cn={name}))', userBase: 'uid=bob,ou=people,dc=lab' } },
  { title: 'a name that is not there, in the base', name: 'nobody', password: 'x', settings: { userBase: 'uid={name},ou=people,dc=lab' } },
  { title: 'the base of another user', name: 'alice', password: ALICE_PASSWORD, settings: { userBase: 'uid=bob,ou=people,dc=lab' } },
]

t.test('names, passwords, entries', { skip: slapdAbsent }, async (t) => {
  const slapd = await startSlapd(t)
  const startTls: Partial<LdapSettings> = { url: slapd.ldap, startTls: true }
  const cases: readonly Case[] = [
    ...passwords.map(([title, password]) => ({ title: `password: ${title}`, name: 'alice', password, code: REFUSED })),
    ...passwords.slice(0, 4).map(([title, password]) => ({ title: `password of nobody, StartTLS: ${title}`, name: 'nobody', password, code: REFUSED, settings: startTls })),
    ...names.map(([title, name, code = REFUSED]) => ({ title: `name: ${title}`, name, password: ALICE_PASSWORD, code })),
    ...others.map((each) => ({ ...each, code: REFUSED })),
    { title: 'a user base that is not there', name: 'alice', password: ALICE_PASSWORD, code: AWAY, settings: { userBase: 'ou=nowhere,dc=lab' } },
    { title: 'a group base that is not there', name: 'alice', password: ALICE_PASSWORD, code: AWAY, settings: { groupBase: 'ou=nowhere,dc=lab', groupFilter: '(member={dn})' } },
    { title: 'in more groups than are kept', name: 'many', password: 'many-secret', code: AWAY, settings: { groupFilter: '(member={dn})' } },
    { title: 'in too many groups, and a wrong password', name: 'many', password: 'wrong', code: REFUSED, settings: { groupFilter: '(member={dn})' } },
    { title: 'an account that searches with a wrong password', name: 'alice', password: ALICE_PASSWORD, code: AWAY, reader: 'wrong' },
    { title: 'an account that searches without a password', name: 'alice', password: ALICE_PASSWORD, code: SETTINGS, reader: '' },
    { title: 'an account that searches with a blank password', name: 'alice', password: ALICE_PASSWORD, code: SETTINGS, reader: '\u200b ' },
  ]
  const lines: string[] = []
  const log = (message: string, fields: object = {}): void => { lines.push(`${message} ${JSON.stringify(fields)}`) }
  const messages = new Set<string>()
  let accepted = 0, at = 0
  const worker = async (): Promise<void> => {
    for (let each = cases[at++]; each !== undefined; each = cases[at++]) {
      const { title, name, password, code, settings, reader = READER_PASSWORD } = each
      const directory = createLdapDirectory({ settings: () => ({ ...slapd.settings, ...settings }), bindPassword: async () => reader, clock: systemClock, log: { info: log, warn: log } })
      await directory.authenticate({ name, password }).then(() => { accepted++; t.fail(`accepted: ${title}`) }, (error: Error) => {
        t.equal(errorCode(error), code, title)
        if (code === REFUSED) messages.add(error.message.replace(` of ${name} `, ' of NAME '))
        t.notMatch(error.message, /secret|horse/, `${title}: says no password`)
      })
    }
  }
  await Promise.all(Array.from({ length: 16 }, worker))
  t.equal(accepted, 0, `accepted of ${cases.length}`)
  t.equal(messages.size, 1, 'one message for all who are refused')
  t.notMatch(lines.join('\n'), /secret|horse/, 'no password in the log')
  t.match(lines.join('\n'), /more than one entry/, 'the log says why')
})

t.test('settings that are not spoken with', (t) => {
  const good: LdapSettings = { url: 'ldaps://directory.example', startTls: false, userBase: 'dc=lab', userFilter: '(uid={name})' }
  const wrong: readonly Partial<LdapSettings>[] = [
    { url: 'ldap://directory.example' }, { url: 'ldapi:///var/run/ldapi', startTls: true }, { url: 'http://directory.example', startTls: true }, { url: 'ldaps://directory.example', startTls: true }, { url: '' }, { url: 'ldaps://' }, { url: 'ldaps://a:0' },
    { url: 'ldaps://user:secret@directory.example' }, { url: 'ldaps://directory.example/dc=lab' }, { url: 'ldaps://directory.example?x' }, { url: 'ldaps://directory.example#x' },
    { ca: '' }, { ca: 'garbage' }, { ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' },
    { userBase: '' }, { userBase: 'people' }, { userBase: 'dc=lab\0' }, { userBase: `dc=${'x'.repeat(2_000)}` }, { bindDn: '' }, { bindDn: 'EXTERNAL' },
    { userFilter: '' }, { userFilter: '(uid=alice)' }, { userFilter: 'uid={name}' }, { userFilter: '(uid=*{name}*)' }, { userFilter: '({name}=x)' }, { userFilter: '(uid={name}' }, { userFilter: '(uid={name}))' }, { userFilter: '(uid={name})(x=y)' }, { userFilter: '(&(uid={name})(member={dn}))' },
    { groupFilter: '(member={dn})' }, { groupBase: 'groups' }, { groupBase: 'dc=lab', groupFilter: '(cn=ops)' }, { groupBase: 'ou={name},dc=lab' },
  ]
  return Promise.all(wrong.map(async (each) => {
    const directory = createLdapDirectory({ settings: () => ({ ...good, ...each }), bindPassword: async () => READER_PASSWORD, clock: systemClock, log: { info() {}, warn() {} } })
    await t.rejects(directory.authenticate({ name: 'alice', password: 'x' }), { code: SETTINGS }, JSON.stringify(each).slice(0, 80))
  })).then(() => t.rejects(createLdapDirectory({ settings: () => undefined, bindPassword: async () => undefined, clock: systemClock, log: { info() {}, warn() {} } }).authenticate({ name: 'alice', password: 'x' }), { code: 'KALI_ERR_DIRECTORY_NONE' }))
})
