// A real slapd for tests: Debian's, on a loopback port, with a configuration and data of its own in a temporary directory and
// certificates made for the test; stopped by its pid and removed with the test. ldaps:// and ldap:// with StartTLS.
//
//   dc=lab: ou=people (alice, bob, carol, dave, twin, ...), ou=other (twin, again), ou=groups, cn=reader (the account that searches)

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { LdapSettings } from '../../kali/trust/contract.ts'
import { until } from './until.ts'

const SLAPD = '/usr/sbin/slapd'
const MODULES = '/usr/lib/ldap'
/** Why a test with slapd is skipped; false when it need not be. */
export const slapdAbsent: string | false = !existsSync(SLAPD) ? 'absent: slapd' : spawnSync('openssl', ['version'], { stdio: 'ignore' }).status !== 0 ? 'absent: openssl' : false

export const READER_PASSWORD = 'reader-secret'
export const ALICE_PASSWORD = 'correct horse'

/** PEM files of one server, and the authority that signed it. */
export interface Certificates { readonly ca: string; readonly key: string; readonly cert: string }
export type CertificateKind = 'good' | 'expired' | 'other-name' | 'other-ca'

/** An authority and a certificate of the kind; files stand in `directory`. */
export function makeCertificates(directory: string, kind: CertificateKind): Certificates {
  const at = (name: string): string => join(directory, `${kind}-${name}`)
  const openssl = (...args: string[]): void => { execFileSync('openssl', args, { stdio: 'ignore' }) }
  const key = (file: string): string[] => ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', file]
  openssl('req', '-x509', ...key(at('ca.key')), '-out', at('ca.pem'), '-days', '2', '-subj', `/CN=kumoi test authority ${kind}`)
  openssl('req', ...key(at('server.key')), '-out', at('server.csr'), '-subj', '/CN=directory')
  writeFileSync(at('ext'), `subjectAltName=${kind === 'other-name' ? 'DNS:elsewhere.example,IP:127.0.0.9' : 'IP:127.0.0.1,DNS:localhost'}\n`)
  const sign = ['-in', at('server.csr'), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-out', at('server.pem'), '-extfile', at('ext')]
  // A validity of minus one day: over before it began.
  openssl('x509', '-req', ...sign, '-days', kind === 'expired' ? '-1' : '2')
  const read = (name: string): string => readFileSync(at(name), 'utf8')
  return { ca: read('ca.pem'), key: at('server.key'), cert: at('server.pem') }
}

export interface SlapdOptions {
  readonly certificate?: CertificateKind
  /** More lines for slapd's configuration. */
  readonly configuration?: string
  /** Without: no TLS at all, StartTLS is refused. */
  readonly tls?: 'none'
}
export interface Slapd {
  readonly ca: string
  readonly ldaps: string
  readonly ldap: string
  readonly pid: number
  /** ldaps, the account that searches, groups by memberOf. Its password is READER_PASSWORD. */
  readonly settings: LdapSettings
  halt(): void
  go(): void
  stop(): Promise<void>
  start(): Promise<void>
}

export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  await Promise.all(servers.map((server) => new Promise<void>((done) => server.listen(0, '127.0.0.1', () => done()))))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
  return ports
}

const person = (dn: string, uids: readonly string[], more: readonly string[] = []): string =>
  [`dn: ${dn}`, 'objectClass: inetOrgPerson', ...(dn.startsWith('cn=') ? [] : ['cn: someone']), 'sn: Someone', ...uids.map((uid) => `uid: ${uid}`), ...more].join('\n')
const group = (cn: string, members: readonly string[], where = 'ou=groups,dc=lab'): string => [`dn: cn=${cn},${where}`, 'objectClass: groupOfNames', `cn: ${cn}`, ...members.map((member) => `member: ${member}`)].join('\n')
const unit = (name: string, above = 'dc=lab'): string => `dn: ou=${name},${above}\nobjectClass: organizationalUnit\nou: ${name}`
const base64 = (attribute: string, value: string): string => `${attribute}:: ${Buffer.from(value).toString('base64')}`

/** Every special character of RFC 4514, letters beyond ASCII, and what filters take for their own. */
export const CAROL_DN = 'cn=Carol \\22the\\22 \\2B\\3C\\3E\\3B\\5C\\3D\\2C (*) Müller,ou=people,dc=lab'
export const MANY_GROUPS = 300

const ENTRIES: readonly string[] = [
  'dn: dc=lab\nobjectClass: dcObject\nobjectClass: organization\no: lab\ndc: lab',
  ...['people', 'other', 'groups', 'elsewhere', 'open', 'away'].map((name) => unit(name)),
  `dn: cn=reader,dc=lab\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: ${READER_PASSWORD}`,
  'dn: cn=policy,dc=lab\nobjectClass: device\nobjectClass: pwdPolicy\ncn: policy\npwdAttribute: userPassword\npwdLockout: TRUE',
  person('uid=alice,ou=people,dc=lab', ['alice'], [`userPassword: ${ALICE_PASSWORD}`, 'memberOf: cn=Ops,ou=groups,dc=lab', 'memberOf: cn=lab users,ou=groups,dc=lab', 'memberOf: cn=admins,ou=elsewhere,dc=lab', base64('memberOf', 'cn=ｒｏｏｔ,ou=groups,dc=lab')]),
  person('uid=bob,ou=people,dc=lab', ['bob'], ['userPassword: bob-secret']),
  [base64('dn', CAROL_DN), 'objectClass: inetOrgPerson', 'sn: Müller', 'uid: carol', 'userPassword: carol-secret'].map((line) => line.startsWith('sn') ? base64('sn', 'Müller') : line).join('\n'),
  person('uid=dave,ou=people,dc=lab', ['dave', 'davey'], ['userPassword: dave-secret']),
  person('uid=erin,ou=people,dc=lab', ['erin'], ['userPassword: erin-secret', 'pwdAccountLockedTime: 000001010000Z']),
  person('uid=nopass,ou=people,dc=lab', ['nopass']),
  person('uid=Frank,ou=people,dc=lab', ['Frank'], ['userPassword: frank-secret']),
  [base64('dn', 'uid=ｗｉｄｅ,ou=people,dc=lab'), 'objectClass: inetOrgPerson', 'cn: wide', 'sn: wide', base64('uid', 'ｗｉｄｅ'), 'userPassword: wide-secret'].join('\n'),
  person('uid=many,ou=people,dc=lab', ['many'], ['userPassword: many-secret']),
  person('uid=twin,ou=people,dc=lab', ['twin'], ['userPassword: twin-secret']),
  person('uid=twin,ou=other,dc=lab', ['twin'], ['userPassword: twin-secret']),
  person('uid=olga,ou=open,dc=lab', ['olga'], ['userPassword: olga-secret']),
  'dn: ou=there,ou=away,dc=lab\nobjectClass: referral\nobjectClass: extensibleObject\nou: there\nref: ldap://127.0.0.1:1/ou=people,dc=lab',
  group('Ops', ['uid=alice,ou=people,dc=lab']),
  group('lab users', ['uid=alice,ou=people,dc=lab', 'uid=bob,ou=people,dc=lab']),
  group('admins', ['uid=alice,ou=people,dc=lab'], 'ou=elsewhere,dc=lab'),
  [`dn: cn=odd,ou=groups,dc=lab`, 'objectClass: groupOfNames', 'cn: odd', base64('member', CAROL_DN)].join('\n'),
  ...Array.from({ length: MANY_GROUPS }, (_, at) => group(`g${at}`, ['uid=many,ou=people,dc=lab'])),
]

function configurationOf(directory: string, certificates: Certificates | undefined, more: string): string {
  return [
    ...['core', 'cosine', 'inetorgperson'].map((schema) => `include /etc/ldap/schema/${schema}.schema`),
    `modulepath ${MODULES}`, ...['back_mdb', 'memberof', 'ppolicy'].map((module) => `moduleload ${module}`),
    `pidfile ${directory}/pid`,
    ...(certificates === undefined ? [] : [`TLSCertificateFile ${certificates.cert}`, `TLSCertificateKeyFile ${certificates.key}`, 'TLSVerifyClient never']),
    // A bind without a password is answered with success: what must never be sent would be believed.
    'allow bind_anon_cred bind_anon_dn',
    more,
    'database mdb', 'suffix dc=lab', `directory ${directory}/data`, 'maxsize 67108864', 'rootdn cn=root,dc=lab',
    'overlay memberof', 'overlay ppolicy', 'ppolicy_default cn=policy,dc=lab',
    'access to attrs=userPassword by anonymous auth by * none',
    'access to dn.subtree="ou=open,dc=lab" by * read',
    'access to * by dn.exact="cn=reader,dc=lab" read by * none',
    '',
  ].join('\n')
}

/** Whether somebody listens there. */
const answers = (port: number): Promise<boolean> => new Promise((done) => {
  const socket = connect(port, '127.0.0.1', () => { socket.destroy(); done(true) })
  socket.on('error', () => done(false))
})

export async function startSlapd(t: Pick<Test, 'teardown'>, { certificate = 'good', configuration = '', tls }: SlapdOptions = {}): Promise<Slapd> {
  const directory = mkdtempSync(join(tmpdir(), 'kumoi-slapd-'))
  let child: ChildProcess | undefined
  const exited = (of: ChildProcess): Promise<void> => of.exitCode !== null || of.signalCode !== null ? Promise.resolve() : new Promise((done) => of.once('exit', () => done()))
  const stop = async (): Promise<void> => {
    const ending = child
    child = undefined
    if (ending === undefined) return
    ending.kill('SIGKILL')
    await exited(ending)
  }
  t.teardown(async () => {
    await stop()
    rmSync(directory, { recursive: true, force: true })
  })
  mkdirSync(join(directory, 'data'))
  const certificates = makeCertificates(directory, certificate)
  const file = join(directory, 'slapd.conf')
  writeFileSync(file, configurationOf(directory, tls === 'none' ? undefined : certificates, configuration))
  writeFileSync(join(directory, 'data.ldif'), `${ENTRIES.join('\n\n')}\n`)
  const added = spawnSync('/usr/sbin/slapadd', ['-q', '-f', file, '-l', join(directory, 'data.ldif')], { encoding: 'utf8' })
  if (added.status !== 0) throw new Error(`slapadd: ${added.stderr}`)
  const [plain = 0, secure = 0] = await freePorts(2)

  // It says nothing when it is ready; the ports are open a little later than its process is there.
  const start = async (): Promise<void> => {
    const started = spawn(SLAPD, ['-d', '0', '-f', file, '-h', `ldap://127.0.0.1:${plain}/${tls === 'none' ? '' : ` ldaps://127.0.0.1:${secure}/`}`], { stdio: ['ignore', 'ignore', 'pipe'] })
    child = started
    let log = ''
    started.stderr?.setEncoding('utf8').on('data', (text: string) => { log = (log + text).slice(-4_000) })
    await until('slapd listens', async () => {
      if (started.exitCode !== null) throw new Error(`slapd ended (${started.exitCode}): ${log}`)
      return answers(tls === 'none' ? plain : secure)
    })
  }
  await start()
  const ldaps = `ldaps://127.0.0.1:${secure}`
  return {
    ca: certificates.ca, ldaps, ldap: `ldap://127.0.0.1:${plain}`,
    get pid() { return child?.pid ?? 0 },
    settings: { url: ldaps, startTls: false, ca: certificates.ca, bindDn: 'cn=reader,dc=lab', userBase: 'dc=lab', userFilter: '(uid={name})', groupBase: 'ou=groups,dc=lab' },
    halt: () => { child?.kill('SIGSTOP') },
    go: () => { child?.kill('SIGCONT') },
    stop, start,
  }
}
