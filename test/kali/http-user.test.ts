// Users at the HTTP door: TLS, the token with a proof for one request, and everything about them that is wrong.

import { execFileSync } from 'node:child_process'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as tlsConnect } from 'node:tls'
import t from 'tap'
import { openTrustNode } from '../support/trust-node.ts'
import { systemClock, systemRandom } from '../../fabric/base.ts'
import { openHttpDoor } from '../../kali/http.ts'
import { proofHolds, proveRequest, readProof, ReplayWindow } from '../../kali/http-proof.ts'
import { startNode } from '../../kali/mod.ts'
import { makeHolderKeys } from '../../kali/trust/holder.ts'
import { fc } from '../support/property.ts'

/** A certificate for 127.0.0.1 by nobody. */
function certify(folder: string, name: string): { cert: string; key: string } {
  const cert = join(folder, `${name}.crt`), key = join(folder, `${name}.key`)
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' })
  return { cert, key }
}

interface Asked { readonly status: number; readonly body: string }
const ask = (url: string, headers: Record<string, string>, { method = 'GET', body = '' } = {}): Promise<Asked> => new Promise((done, reject) => {
  const asking = httpsRequest(url, { method, headers: { ...headers, ...(body === '' ? {} : { 'content-type': 'application/json' }) }, rejectUnauthorized: false, agent: false }, (response) => {
    let text = ''
    response.setEncoding('utf8').on('data', (piece: string) => { text += piece }).on('end', () => done({ status: response.statusCode ?? 0, body: text }))
  })
  asking.on('error', reject).end(body)
})

t.test('a user over TLS is himself, once for each proof', async (t) => {
  const files = certify(await folderOf(t), 'alpha')
  const lab = await openTrustNode(t, { http: { listen: '127.0.0.1:0', ...files } })
  const url = lab.node.info.doors['http'] ?? ''
  t.match(url, /^https:\/\/127\.0\.0\.1:/)
  const own = await lab.open('own'), alice = await lab.open('users')
  const { token } = await alice.login({ user: 'alice' })
  const host = new URL(url).host
  const headers = (over: Partial<Parameters<typeof proveRequest>[1]> = {}, atMs = Date.now(), keys = lab.keys): Record<string, string> => ({
    authorization: `Bearer ${token}`, 'kumoi-proof': proveRequest(keys.privateKey, { host, method: 'GET', target: '/functions', token, body: new Uint8Array(0), ...over }, atMs),
  })
  const list = (given: Record<string, string>): Promise<Asked> => ask(`${url}/functions`, given)

  t.match(await ask(`${url}/healthz`, {}), { status: 200 })
  t.match(await list({}), { status: 401 })
  t.match(await list(headers()), { status: 403, body: /METHOD_DENIED/ }, 'known, and without a right')
  await own.call('trust.role.set', { name: 'reader', groups: ['ops'], users: [], patterns: ['*:*'] })
  const good = headers()
  t.match(await list(good), { status: 200, body: '[]\n' })
  const refused: readonly (readonly [string, Record<string, string>])[] = [
    ['sent again', good],
    ['no proof', { authorization: good['authorization'] ?? '' }],
    ['no proof at all', { ...good, 'kumoi-proof': 'x' }],
    ['of another method', headers({ method: 'POST' })],
    ['of another path', headers({ target: '/metrics' })],
    ['for another host', headers({ host: 'beta:1' })],
    ['of another body', headers({ body: Buffer.from('{}') })],
    ['of an hour ago', headers({}, Date.now() - 3_600_000)],
    ['of tomorrow', headers({}, Date.now() + 86_400_000)],
    ['by another key', headers({}, Date.now(), makeHolderKeys())],
    ['a token that was altered', { ...headers(), authorization: `Bearer ${token.slice(0, -4)}AAAA` }],
  ]
  for (const [what, given] of refused) t.match(await list(given), { status: 401, body: /KALI_ERR_TOKEN_REFUSED/ }, what)
  t.match(await ask(`${url}/functions/none`, headers({ method: 'POST', target: '/functions/none', body: Buffer.from('{}') }), { method: 'POST', body: '{}' }), { status: 404, body: /FUNCTION_UNKNOWN/ }, 'a body that was signed')
  t.match(await ask(`${url}/functions/none`, headers({ method: 'POST', target: '/functions/none', body: Buffer.from('{}') }), { method: 'POST', body: '[]' }), { status: 401 }, 'and one that was changed')
  t.match(await ask(`${url}/functions`, { ...headers(), host: 'localhost' }), { status: 403, body: /HTTP_FOREIGN/ }, 'a name that the certificate is not for')
  await own.call('trust.user.revoke', { name: 'alice' })
  t.match(await list(headers()), { status: 401, body: /USER_REVOKED/ }, 'cut off')
})

t.test('old TLS is not spoken; a renewed certificate is taken, half of one is not', async (t) => {
  const folder = await folderOf(t)
  const files = certify(folder, 'alpha'), next = certify(folder, 'renewed'), other = certify(folder, 'other')
  const warned: string[] = []
  const nobody = (): never => { throw new Error('not asked') }
  const door = await openHttpDoor({
    listen: '127.0.0.1:0', tls: files, token: 'T'.repeat(43), principal: 'local:0', catalog: { get: () => undefined, list: () => [] }, invoker: { invoke: nobody, invokeAll: nobody, enqueue: nobody },
    metrics: nobody, nodeName: () => 'alpha', clock: systemClock, random: systemRandom, warn: (message) => warned.push(message),
  })
  t.teardown(() => door.close())
  const subject = (over: object = {}): Promise<string> => new Promise((done, reject) => {
    const socket = tlsConnect({ port: Number(new URL(door.url).port), host: '127.0.0.1', rejectUnauthorized: false, ...over }, () => { done(String(socket.getPeerCertificate().subject.CN)); socket.end() })
    socket.on('error', reject)
  })
  t.equal(await subject(), 'alpha')
  await t.rejects(subject({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' }))
  await door.renew()
  await copyFile(next.cert, files.cert)
  await door.renew()
  t.equal(await subject(), 'alpha', 'a certificate without its key')
  t.equal(warned.length, 1)
  await copyFile(next.key, files.key)
  await door.renew()
  t.equal(await subject(), 'renewed')
  await copyFile(other.key, files.key)
  await door.renew()
  t.equal(await subject(), 'renewed')
})

t.test('the network needs a certificate, and one that fits', async (t) => {
  const folder = await folderOf(t)
  const one = certify(folder, 'one'), other = certify(folder, 'other')
  const start = (over: object) => startNode({ data: join(folder, 'node'), name: 'alpha', listen: '127.0.0.1', hypervisor: { driver: 'none' }, http: '0.0.0.0:0', ...over }).then(async (node) => { await node.stop(); return node.info.doors['http'] })
  await t.rejects(start({}), { code: 'KALI_ERR_HTTP_PLAIN' })
  await t.rejects(start({ httpTls: { cert: one.cert, key: other.key } }), { code: 'KALI_ERR_HTTP_CERTIFICATE', message: /not the key/ })
  await t.rejects(start({ httpTls: { cert: one.key, key: one.key } }), { code: 'KALI_ERR_HTTP_CERTIFICATE' })
  await t.rejects(start({ httpTls: { cert: join(folder, 'none'), key: one.key } }), { code: 'KALI_ERR_HTTP_CERTIFICATE', message: /ENOENT/ })
  t.match(await start({ httpPlain: true }), /^http:/)
})

t.test('a proof holds for what was signed and nothing else', (t) => {
  const keys = makeHolderKeys()
  const text = fc.string({ minLength: 1, maxLength: 12 }).filter((value) => !value.includes('\0'))
  const request = fc.record({ host: text.map((value) => value.toLowerCase()), method: text, target: text, token: text, body: fc.uint8Array({ maxLength: 20 }) })
  fc.assert(fc.property(request, request, fc.nat(), (one, two, atMs) => {
    const proof = readProof(proveRequest(keys.privateKey, one, atMs))
    if (proof === undefined) return false
    const same = JSON.stringify({ ...one, body: [...one.body] }) === JSON.stringify({ ...two, body: [...two.body] })
    return proofHolds(keys.publicKey, one, proof) && proofHolds(keys.publicKey, two, proof) === same && !proofHolds(keys.publicKey, one, { ...proof, atMs: atMs + 1 })
  }), { numRuns: 60 })
  t.end()
})

t.test('the window: nothing twice, nothing old, bounded, and empty again', (t) => {
  const bounds = { skewMs: 100, entriesMax: 20, perTokenMax: 8 }
  const step = fc.record({ token: fc.constantFrom('a', 'b', 'c'), nonce: fc.integer({ min: 0, max: 15 }).map(String), offMs: fc.integer({ min: -150, max: 150 }), pauseMs: fc.integer({ min: 0, max: 60 }) })
  fc.assert(fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
    const window = new ReplayWindow(bounds)
    const taken = new Set<string>()
    let wallMs = 1_000
    for (const { token, nonce, offMs, pauseMs } of steps) {
      wallMs += pauseMs
      const atMs = wallMs + offMs
      const key = `${token} ${nonce} ${atMs}`
      const verdict = window.take(token, { atMs, nonce }, wallMs)
      if (verdict === 'new' && (taken.has(key) || Math.abs(offMs) > bounds.skewMs)) return false
      if (verdict === 'new') taken.add(key)
      if (window.size > bounds.entriesMax) return false
    }
    window.take('z', { atMs: 0, nonce: 'z' }, wallMs + 1_000)
    return window.size === 0
  }))
  t.end()
})

async function folderOf(t: { teardown(after: () => Promise<void>): unknown }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kumoi-http-user-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}
