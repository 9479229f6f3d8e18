// Good logins against a real slapd: ldaps and StartTLS, groups both ways, odd names; and the probe.

import t from 'tap'
import { systemClock } from '../../../fabric/base.ts'
import type { LdapSettings } from '../../../kali/trust/contract.ts'
import { createLdapDirectory } from '../../../kali/trust/ldap.ts'
import { probeLdap } from '../../../kali/trust/ldap-probe.ts'
import { ALICE_PASSWORD, CAROL_DN, READER_PASSWORD, slapdAbsent, startSlapd } from '../../support/slapd.ts'

t.test('logins that are right', { skip: slapdAbsent }, async (t) => {
  const slapd = await startSlapd(t)
  const lines: string[] = []
  const log = (message: string, fields: object = {}): void => { lines.push(`${message} ${JSON.stringify(fields)}`) }
  const directoryOf = (settings: LdapSettings) => createLdapDirectory({ settings: () => settings, bindPassword: async () => READER_PASSWORD, clock: systemClock, log: { info: log, warn: log } })
  const startTls: LdapSettings = { ...slapd.settings, url: slapd.ldap, startTls: true }
  const searched: LdapSettings = { ...slapd.settings, groupFilter: '(&(objectClass=groupOfNames)(member={dn}))' }
  const { groupBase: _, ...anywhere } = slapd.settings

  t.same(await directoryOf(slapd.settings).authenticate({ name: 'alice', password: ALICE_PASSWORD }), { name: 'alice', dn: 'uid=alice,ou=people,dc=lab', groups: ['lab users', 'ops'] }, 'ldaps; groups below the base by memberOf')
  t.match(lines.join('\n'), /groups left out.*"groups":2/, 'a group elsewhere and one of wide letters')
  t.same(await directoryOf(startTls).authenticate({ name: 'alice', password: ALICE_PASSWORD }), { name: 'alice', dn: 'uid=alice,ou=people,dc=lab', groups: ['lab users', 'ops'] }, 'StartTLS')
  t.same((await directoryOf(anywhere).authenticate({ name: 'alice', password: ALICE_PASSWORD })).groups, ['admins', 'lab users', 'ops'], 'all that memberOf names, without a base')
  t.same((await directoryOf(searched).authenticate({ name: 'bob', password: 'bob-secret' })).groups, ['lab users'], 'groups by search')
  t.same(await directoryOf(searched).authenticate({ name: 'carol', password: 'carol-secret' }).then(({ groups }) => groups), ['odd'], 'a DN with every special character, in a filter')
  t.same((await directoryOf(searched).authenticate({ name: 'ALICE', password: ALICE_PASSWORD })).name, 'alice', 'case is folded')
  t.same((await directoryOf(searched).authenticate({ name: 'frank', password: 'frank-secret' })).dn, 'uid=Frank,ou=people,dc=lab', 'of the directory, too')
  t.same((await directoryOf({ ...slapd.settings, userBase: 'uid={name},ou=people,dc=lab', userFilter: '(&(objectClass=inetOrgPerson)(uid={name}))' }).authenticate({ name: 'bob', password: 'bob-secret' })).name, 'bob', 'where a user is, his name decides')
  const { bindDn: __, ...nobody } = slapd.settings
  t.same((await directoryOf({ ...nobody, userBase: 'ou=open,dc=lab' }).authenticate({ name: 'olga', password: 'olga-secret' })).name, 'olga', 'searched by nobody')
  t.notMatch(lines.join('\n'), /secret|horse/, 'no password in the log')
  t.ok(CAROL_DN)

  const many = Array.from({ length: 12 }, () => directoryOf(slapd.settings).authenticate({ name: 'alice', password: ALICE_PASSWORD }))
  t.same((await Promise.all(many)).map(({ name }) => name), Array(12).fill('alice'), 'many at once')

  t.same((await probeLdap({ settings: slapd.settings, bindPassword: READER_PASSWORD, clock: systemClock })).map(({ step, ok }) => [step, ok]), [['reached', true], ['tls', true], ['bound', true], ['users', true], ['groups', true]], 'probe')
  const failing = async (settings: LdapSettings, bindPassword = READER_PASSWORD): Promise<string> => (await probeLdap({ settings, bindPassword, clock: systemClock })).map(({ step, ok, says }) => ok ? step : `${step}: ${says}`).join(', ')
  t.match(await failing(slapd.settings, 'wrong'), /^reached, tls, bound: it refused the account that searches, cn=reader,dc=lab \(code 49\)$/)
  t.match(await failing({ ...slapd.settings, userBase: 'ou=nowhere,dc=lab' }), /^reached, tls, bound, users: the user base ou=nowhere,dc=lab is not there/)
  t.match(await failing({ ...slapd.settings, groupBase: 'ou=nowhere,dc=lab' }), /^reached, tls, bound, users, groups: the group base/)
  const { ca: ___, ...noCa } = slapd.settings
  t.match(await failing(noCa), /^reached, tls: its certificate is signed by nobody trusted$/)
  await slapd.stop()
  t.match(await failing(slapd.settings), /^reached: nothing listens there$/)
})
