// Servers that are not who they should be, and that hang, close or are down: nobody is let in, and no password is sent before a
// certificate that holds. Also how many logins go on at once, and giving one up.

import t from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import { OPERATION } from '../../../kali/trust/ldap-message.ts'
import { ber, honest, message, result } from '../../support/ldap-server.ts'
import type { Answers, LdapServerOptions } from '../../support/ldap-server.ts'
import { freePorts, slapdAbsent as skip, startSlapd } from '../../support/slapd.ts'
import { AWAY, bindSays, became, certificatesOf, directoryOf, each, except, hasty, login, outcomeOf, overStartTls, serverOf, settingsOf } from './ldap-lab.ts'

const started = (...more: readonly Uint8Array[]): Answers => ({ id }) => Buffer.concat([message(id, result(OPERATION.extendedResponse, 0)), ...more])

t.test('certificates that do not hold', { skip }, async (t) => {
  // What a careless environment sets does not open this door.
  const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED']
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
  t.teardown(() => { if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']; else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before })
  const good = certificatesOf('good').ca
  const cases: readonly (readonly [string, RegExp, Partial<LdapServerOptions>, string | undefined])[] = [
    ['expired', /has expired/, { certificates: certificatesOf('expired') }, certificatesOf('expired').ca],
    ['for another name', /for another name/, { certificates: certificatesOf('other-name') }, certificatesOf('other-name').ca],
    ['of another authority', /nobody trusted/, { certificates: certificatesOf('other-ca') }, good],
    ['of no authority that the machine trusts', /nobody trusted/, {}, undefined],
    ['TLS 1.1', /could not be made/, { tls: { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' } }, good],
  ]
  for (const startTls of [undefined, started()]) {
    await each(cases, async ([title, reason, options, ca]) => {
      const server = await serverOf(t, honest, { ...options, ...(startTls === undefined ? {} : { startTls }) })
      const { ca: _, ...bare } = settingsOf(server.port, startTls === undefined ? {} : overStartTls(server.port))
      const { code, message } = await became(directoryOf(ca === undefined ? bare : { ...bare, ca }))
      t.equal(code, AWAY, `${title}${startTls === undefined ? '' : ', StartTLS'}`)
      t.match(message, reason)
      t.same(server.passwords, [], 'no bind was sent')
    })
  }
  const other = await serverOf(t, honest)
  t.equal((await became(directoryOf(settingsOf(other.port, { url: `ldaps://localhost:${other.port}` })))).code, 'accepted', 'by its other name')
  t.equal((await became(directoryOf(settingsOf(other.port, { url: `ldaps://127.0.0.2:${other.port}` })))).code, AWAY, 'by an address that it is not for')
})

t.test('StartTLS that does not become TLS', { skip }, async (t) => {
  // The beginning of a success of a bind, whose text would swallow what the real server says after TLS.
  const forged = Buffer.from([0x30, 0x7f, 0x02, 0x01, 0x03, OPERATION.bindResponse, 0x7a, 0x0a, 0x01, 0x00, 0x04, 0x00, 0x04, 0x73])
  const cases: readonly (readonly [string, Answers])[] = [
    ...[1, 2, 52, 53].map((code) => [`refused, code ${code}`, ({ id }) => message(id, result(OPERATION.extendedResponse, code))] as readonly [string, Answers]),
    ['a forged answer behind it', started(forged)],
    ['a whole one behind it', started(message(2, result(OPERATION.bindResponse, 0)))],
    ['one byte behind it', started(Buffer.from([0x30]))],
    ['an answer to a bind', ({ id }) => message(id, result(OPERATION.bindResponse, 0))],
    ['another number', ({ id }) => message(id + 1, result(OPERATION.extendedResponse, 0))],
    ['no result', ({ id }) => message(id, ber(OPERATION.extendedResponse))],
    ['a long one', () => Buffer.concat([Buffer.from([0x30, 0x84, 0, 1, 0, 0]), Buffer.alloc(65_536)])],
    ['HTTP', () => Buffer.from('HTTP/1.1 200 OK\r\n\r\n')],
    ['a close', ({ socket }) => { socket.end(); return undefined }],
    ['a forged answer a moment later, where TLS should be', (question) => {
      setImmediate(() => question.socket.write(forged))
      return started()(question)
    }],
  ]
  await each(cases, async ([title, startTls]) => {
    const { code, passwords } = await outcomeOf(t, honest, { server: { startTls }, settings: overStartTls, clock: hasty })
    t.equal(code, AWAY, title)
    t.same(passwords, [], `${title}: no bind was sent`)
  })
  const plain = await startSlapd(t, { tls: 'none' })
  t.match(await became(directoryOf(settingsOf(1, { url: plain.ldap, startTls: true }))), { code: AWAY, message: /it refused StartTLS/ }, 'a slapd without TLS')
  t.match(await became(directoryOf(settingsOf(1, { url: plain.ldap.replace('ldap:', 'ldaps:') }))), { code: AWAY }, 'TLS to a port in the clear')
})

t.test('servers that hang, close, or are down', { skip }, async (t) => {
  const silent = (): boolean => true
  const closing: Answers = ({ socket }) => { socket.destroy(); return undefined }
  const dripping: Answers = ({ id, socket }) => {
    const bytes = message(id, result(OPERATION.bindResponse, 0))
    let at = 0
    // All but the last byte, over and over again in time: it never becomes an answer.
    const timer = setInterval(() => { if (at < bytes.length - 1) socket.write(bytes.subarray(at, ++at)) }, 20)
    socket.on('close', () => clearInterval(timer))
    return undefined
  }
  const cases: readonly (readonly [string, Answers, Partial<LdapServerOptions>?])[] = [
    ['silent before TLS', honest, { onConnection: silent }],
    ['silent after TLS', honest, { onSecure: silent }],
    ['silent at StartTLS', honest, { startTls: () => undefined, onSecure: silent }],
    ['silent to a search', except(OPERATION.search, () => undefined)],
    ['silent to a bind', bindSays(() => undefined)],
    ['dripping', (question) => question.operation === OPERATION.bind ? dripping(question) : honest(question)],
    ['closing before TLS', honest, { onConnection: (socket) => { socket.destroy(); return true } }],
    ['closing after TLS', honest, { onSecure: (socket) => { socket.destroy(); return true } }],
    ['closing at a search', (question) => question.operation === OPERATION.search ? closing(question) : honest(question)],
    ['closing at a bind', (question) => question.operation === OPERATION.bind ? closing(question) : honest(question)],
    ['ending at a bind', (question) => { if (question.operation !== OPERATION.bind) return honest(question); question.socket.end(); return undefined }],
  ]
  await each(cases, async ([title, answers, server = {}]) => {
    const settings = server.startTls === undefined ? {} : { settings: overStartTls }
    t.equal((await outcomeOf(t, answers, { server, clock: hasty, ...settings })).code, AWAY, title)
  })
  const [nobody = 0] = await freePorts(1)
  t.match(await became(directoryOf(settingsOf(nobody))), { code: AWAY, message: /nothing listens there/ }, 'down')
  t.match(await became(directoryOf(settingsOf(nobody, { url: 'ldaps://directory.invalid' }), hasty)), { code: AWAY }, 'a name that is not known')

  const slapd = await startSlapd(t)
  const real = directoryOf({ ...slapd.settings, userBase: 'ou=open,dc=lab' }, hasty)
  const { bindDn: _, ...anonymous } = { ...slapd.settings, userBase: 'ou=open,dc=lab' }
  const olga = { name: 'olga', password: 'olga-secret' }
  const open = directoryOf(anonymous, hasty)
  t.equal((await open.authenticate(olga)).name, 'olga')
  slapd.halt()
  await t.rejects(open.authenticate(olga), { code: AWAY }, 'a slapd that stands still')
  slapd.go()
  t.equal((await directoryOf(anonymous).authenticate(olga)).name, 'olga', 'and goes on')
  await slapd.stop()
  await t.rejects(open.authenticate(olga), { code: AWAY }, 'stopped')
  await slapd.start()
  t.equal((await directoryOf(anonymous).authenticate(olga)).name, 'olga', 'and started again')
  await t.rejects(real.authenticate(olga), { code: 'KALI_ERR_DIRECTORY_SETTINGS' }, 'no password for the account that searches')
})

t.test('many at once, and giving up', { skip }, async (t) => {
  const silent = await serverOf(t, honest, { onSecure: () => true })
  const directory = directoryOf(settingsOf(silent.port))
  const giving = new AbortController()
  const waiting = Array.from({ length: LIMITS.directoryLoginsMax }, () => directory.authenticate(login, { signal: giving.signal }).catch((error: { code: string; message: string }) => error))
  await t.rejects(directory.authenticate(login), { code: AWAY, message: new RegExp(`${LIMITS.directoryLoginsMax} logins are under way`) })
  giving.abort()
  for (const one of await Promise.all(waiting)) t.match(one, { code: AWAY, message: /the login was given up/ })
  const again = new AbortController()
  const next = directory.authenticate(login, { signal: again.signal })
  again.abort()
  await t.rejects(next, { message: /given up/ }, 'their places are free again')
  await t.rejects(directory.authenticate(login, { signal: AbortSignal.abort() }), { message: /given up/ }, 'given up before it began')
})
