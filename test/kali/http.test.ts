// The HTTP door over real sockets: what it answers, what it refuses, what it survives. Functions are stand-ins.

import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { seededRandom, systemClock, systemRandom, toErrorRecord } from '../../fabric/base.ts'
import { decodeValue, encodeArray, FUNCTIONS } from '../../functions/mod.ts'
import type { CallAuthority, Catalog, DeployedFunction, InvokeOutcome, InvokeRequest, TriggerRecord } from '../../functions/mod.ts'
import { openHttpDoor } from '../../kali/http.ts'
import type { HttpDoorOptions } from '../../kali/http.ts'
import { readHttpAddress } from '../../kali/http-request.ts'
import { httpToken } from '../../kali/http-token.ts'
import { callRecord } from '../support/observed-nodes.ts'

const TOKEN = 'T'.repeat(43)
const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

const deployed = (name: string, triggers: readonly TriggerRecord[], target: 'any' | 'all' = 'any'): DeployedFunction => ({
  record: { name, aliases: { stable: { version: 'a'.repeat(64) } }, history: [], paused: false, generation: 1, by: 'local:0', node: 'n', atMs: 0, signature: '' },
  manifest: { name, description: `does ${name}`, version: 'a'.repeat(64), bytes: 1, sourceMap: 'b'.repeat(64), triggers, rights: [], singleton: false, target, limits: { timeoutMs: 1_000, heapLimitMiB: 64, cpuTimeMs: 1_000, concurrency: 1, queue: 1 }, retry: { attempts: 1, backoffMs: 1 }, secrets: [], packages: [], files: [] },
  versions: new Map(),
})
const FUNCTIONS_THERE = [deployed('echo', []), deployed('hook', [{ type: 'http', open: true }]), deployed('closed', [{ type: 'http', open: false }]), deployed('everywhere', [], 'all')]
const catalog: Pick<Catalog, 'get' | 'list'> = { get: (name) => FUNCTIONS_THERE.find(({ record }) => record.name === name), list: () => FUNCTIONS_THERE }
const value = (answer: unknown): InvokeOutcome => ({ status: 'value', value: encodeArray([answer]), call: callRecord({ nodeName: 'beta' }) })

interface Asked { readonly request: InvokeRequest; readonly authority: CallAuthority; readonly payload: unknown }
interface Door { readonly url: string; readonly port: number; readonly asked: Asked[]; close(): Promise<void> }

async function open(t: Test, run: (asked: Asked) => InvokeOutcome | Promise<InvokeOutcome> = ({ payload }) => value(payload), over: Partial<HttpDoorOptions> = {}): Promise<Door> {
  const asked: Asked[] = []
  const note = (request: InvokeRequest, authority: CallAuthority): Asked => {
    const one = { request, authority, payload: (decodeValue(request.payload) as unknown[])[0] }
    asked.push(one)
    return one
  }
  const door = await openHttpDoor({
    listen: '127.0.0.1:0', token: TOKEN, principal: 'local:0', catalog, clock: systemClock, random: seededRandom(1), nodeName: () => 'alpha', metrics: async () => '# TYPE kumoi_up gauge\nkumoi_up{node="alpha"} 1\n',
    invoker: { invoke: async (request, authority) => run(note(request, authority)), invokeAll: async (request, authority) => [await run(note(request, authority))], enqueue: async (request, authority) => { note(request, authority); return '0123456789abcdef' } },
    ...over,
  })
  t.teardown(() => door.close())
  return { url: door.url, port: Number(new URL(door.url).port), asked, close: () => door.close() }
}
const auth = { authorization: `Bearer ${TOKEN}` }
const post = (door: Door, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${door.url}${path}`, { method: 'POST', headers: { ...auth, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers }, ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }) })
/** A request as fetch would never send it. */
const raw = (port: number, text: string): Promise<string> => new Promise((done, reject) => {
  let seen = ''
  const socket = connectSocket(port, '127.0.0.1', () => socket.write(text))
  socket.setEncoding('latin1').on('data', (piece: string) => { seen += piece; if (/^HTTP[^]*\r\n\r\n/.test(seen)) socket.end() }).on('close', () => done(seen)).on('error', reject)
})
const hosted = (port: number, host: string, headers: Record<string, string> = {}): Promise<number | undefined> => new Promise((done, reject) => {
  const asking = httpRequest({ port, host: '127.0.0.1', method: 'POST', path: '/functions/hook', headers: { host, ...headers } }, (response) => { response.resume(); done(response.statusCode) })
  asking.on('error', reject).end()
})

test('a call: JSON in, JSON out, with the id of the call, the cause and the trace', async (t) => {
  const door = await open(t)
  const answer = await post(door, '/functions/echo?x=1', { a: [1, null, 'é'], __proto__: 1 }, { traceparent: TRACEPARENT, cookie: 'no', 'x-mine': 'yes' })
  t.equal(answer.status, 200)
  t.match(answer.headers.get('content-type'), 'application/json')
  t.equal(answer.headers.get('kumoi-call'), 'c'.repeat(16))
  t.equal(answer.headers.get('access-control-allow-origin'), null)
  t.same(await answer.json(), { a: [1, null, 'é'] })
  const [{ request, authority } = {} as Asked] = door.asked
  t.match(request, { reference: 'echo', traceparent: /^00-4bf92f3577b34da6a3ce929d0e0e4736-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$/, cause: { type: 'http', method: 'POST', path: '/functions/echo', headers: { 'x-mine': 'yes' } } })
  t.notMatch(JSON.stringify(request.cause), /Bearer|cookie/, 'what lets somebody in is not passed on')
  t.match(authority, { principal: 'local:0', trace: 'a3ce929d0e0e4736' })
  t.equal(await (await post(door, '/functions/echo')).text(), 'null\n', 'no body is undefined, and undefined is null')
  await post(door, '/functions/echo', 1, { traceparent: 'nonsense' })
  t.match(door.asked.at(-1)?.request.traceparent, /^00-0{16}[0-9a-f]{16}-[0-9a-f]{16}-01$/, 'what is no trace starts one')
  t.equal((await post(door, '/functions/echo%40canary', '"x"')).status, 200)
  t.equal(door.asked.at(-1)?.request.reference, 'echo@canary')
})

test('values that JSON has no word for', async (t) => {
  const door = await open(t, () => value({ big: 2n ** 70n, at: new Date(0), map: new Map([['a', 1]]), set: new Set([1]), bytes: new Uint8Array([1, 2]), nan: NaN, none: undefined }))
  t.same(await (await post(door, '/functions/echo')).json(), { big: '1180591620717411303424', at: '1970-01-01T00:00:00.000Z', map: { a: 1 }, set: [1], bytes: 'AQI=', nan: 'NaN' })
  t.same(await (await post(door, '/functions/everywhere')).json(), [{ node: 'beta', call: 'c'.repeat(16), value: { big: '1180591620717411303424', at: '1970-01-01T00:00:00.000Z', map: { a: 1 }, set: [1], bytes: 'AQI=', nan: 'NaN' } }])
})

test('who may: the token for everything, but open functions and /healthz', async (t) => {
  const door = await open(t)
  for (const [path, method] of [['/functions/echo', 'POST'], ['/functions/closed', 'POST'], ['/functions/unknown', 'POST'], ['/functions/hook@stable', 'POST'], ['/functions', 'GET'], ['/metrics', 'GET']] as const) {
    for (const headers of [{}, { authorization: 'Bearer ' }, { authorization: `Bearer ${TOKEN}x` }, { authorization: `Basic ${TOKEN}` }] as Record<string, string>[]) {
      const answer = await fetch(`${door.url}${path}`, { method, headers })
      t.equal(answer.status, 401, `${path} ${JSON.stringify(headers)}`)
      t.match(answer.headers.get('www-authenticate'), 'Bearer')
      t.match(await answer.json(), { code: 'KALI_ERR_HTTP_TOKEN' })
    }
  }
  t.equal(door.asked.length, 0)
  t.equal((await fetch(`${door.url}/functions/hook`, { method: 'POST' })).status, 200)
  t.equal(door.asked[0]?.authority.principal, 'http:open')
  t.same(await (await fetch(`${door.url}/healthz`)).json(), { status: 'ok', node: 'alpha' })
  t.match(await (await fetch(`${door.url}/metrics`, { headers: auth })).text(), 'kumoi_up{node="alpha"} 1')
  t.match(await (await fetch(`${door.url}/functions`, { headers: auth })).json(), [{ name: 'echo', paused: false, aliases: { stable: {} } }])
})

test('how calls fail', async (t) => {
  const refuse = (error: Error, mayHaveRun = false, status: 'error' | 'timeout' | 'unreachable' | 'crash' = 'error'): InvokeOutcome => ({ status, error: toErrorRecord(error, 'X'), mayHaveRun, call: callRecord() })
  const cases: readonly (readonly [string, InvokeOutcome | Error, number])[] = [
    ['unknown', FUNCTIONS.FUNCTION_UNKNOWN({ name: 'x', near: '' }), 404], ['paused', FUNCTIONS.FUNCTION_PAUSED({ name: 'x' }), 409],
    ['busy', refuse(FUNCTIONS.FUNCTION_BUSY({ name: 'x', node: 'a', running: 1, waiting: 1 })), 429], ['unheld', refuse(FUNCTIONS.FUNCTION_UNHELD({ name: 'x', reason: 'r' })), 503],
    ['away', refuse(FUNCTIONS.NODE_GONE({ node: 'a', why: 'w' }), true, 'unreachable'), 503], ['late', refuse(FUNCTIONS.SANDBOX_TIMEOUT({ timeoutMs: 1 }), true, 'timeout'), 504],
    ['thrown', refuse(FUNCTIONS.THROWN({ message: 'boom' }), true), 500], ['a function that was told "busy" by another', refuse(FUNCTIONS.FUNCTION_BUSY({ name: 'y', node: 'a', running: 1, waiting: 1 }), true), 500],
    ['crash', refuse(FUNCTIONS.SANDBOX_CRASH({ index: 0, how: 'h' }), true, 'crash'), 500], ['a fault of ours', new TypeError('undefined is not a function'), 500],
  ]
  for (const [what, outcome, status] of cases) {
    const door = await open(t, () => { if (outcome instanceof Error) throw outcome; return outcome })
    const answer = await post(door, '/functions/echo', {})
    t.equal(answer.status, status, what)
    const body = await answer.json() as Record<string, unknown>
    t.same(Object.keys(body).sort(), ['call', 'code', 'message'], `${what}: no stack, no details`)
    if (status === 429 || status === 503) t.ok(Number(answer.headers.get('retry-after')) > 0, what)
  }
  const door = await open(t, () => refuse(FUNCTIONS.THROWN({ message: 'the key is hunter2' }), true), { redact: (error) => ({ ...error, message: error.message.replace('hunter2', '[secret]') }) })
  t.match(await (await post(door, '/functions/echo')).json(), { message: 'the key is [secret]' })
})

test('asynchronous calls, idempotency keys', async (t) => {
  const door = await open(t)
  const answer = await post(door, '/functions/echo', 1, { prefer: 'wait=5, respond-async', 'idempotency-key': 'order-17' })
  t.equal(answer.status, 202)
  t.same(await answer.json(), { call: '0123456789abcdef' })
  t.equal(answer.headers.get('preference-applied'), 'respond-async')
  t.equal(door.asked[0]?.request.idempotencyKey, 'order-17')
  t.equal((await post(door, '/functions/echo', 1, { 'idempotency-key': 'x'.repeat(201) })).status, 400)
})

test('a client that goes away cancels its call; so does closing the door', async (t) => {
  const started = Promise.withResolvers<Asked>()
  const hang = ({ authority }: Asked): Promise<InvokeOutcome> => new Promise((done) => authority.signal.addEventListener('abort', () => done({ status: 'cancelled', error: toErrorRecord(authority.signal.reason, 'X'), mayHaveRun: true })))
  const door = await open(t, (asked) => { started.resolve(asked); return hang(asked) })
  const control = new AbortController()
  const gone = fetch(`${door.url}/functions/echo`, { method: 'POST', headers: auth, signal: control.signal }).catch((error: Error) => error.name)
  const { authority } = await started.promise
  control.abort()
  await new Promise<void>((done) => { if (authority.signal.aborted) done(); else authority.signal.addEventListener('abort', () => done()) })
  t.equal(await gone, 'AbortError')
  const again = Promise.withResolvers<void>()
  const second = await open(t, (asked) => { again.resolve(); return hang(asked) })
  const answered = post(second, '/functions/echo').then(({ status }) => status, () => 'closed')
  await again.promise
  await second.close()
  t.ok([503, 'closed'].includes(await answered))
})

test('what a web page could send from a browser on this machine', async (t) => {
  const door = await open(t)
  t.equal(await hosted(door.port, 'evil.example'), 403, 'DNS rebinding')
  t.equal(await hosted(door.port, `localhost:${door.port}`), 200)
  t.equal(await hosted(door.port, `[::1]:${door.port}`), 200)
  for (const host of ['127.0.0.1.evil.example', '[::1].evil.example', '127.0.0.1:80@evil.example', 'localhost.evil.example']) t.equal(await hosted(door.port, host), 403, host)
  t.match(await raw(door.port, `POST /functions/hook HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n`), /^HTTP\/1.1 403/, 'two hosts')
  t.equal(await hosted(door.port, `127.0.0.1:${door.port}`, { origin: 'https://evil.example' }), 403, 'another site')
  t.equal(await hosted(door.port, `127.0.0.1:${door.port}`, { origin: 'null' }), 403)
  t.equal(await hosted(door.port, `127.0.0.1:${door.port}`, { origin: `http://127.0.0.1:${door.port}` }), 200)
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/json; charset=utf-16', 'application/jsonx']) t.equal((await post(door, '/functions/hook', '{}', { 'content-type': type })).status, 415, type)
  t.equal((await fetch(`${door.url}/functions/hook`, { method: 'OPTIONS', headers: { 'access-control-request-method': 'POST' } })).status, 405, 'no preflight is answered')
})

test('hostile requests', async (t) => {
  const door = await open(t)
  const { port } = door
  const json = (body: string, headers = ''): string => `POST /functions/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  t.match(await raw(port, json('{"a":')), /^HTTP\/1.1 400/, 'half JSON')
  t.match(await raw(port, json('\u00ff')), /^HTTP\/1.1 400/)
  t.match(await raw(port, json('['.repeat(100_000))), /^HTTP\/1.1 400/, 'deep, broken')
  t.match(await raw(port, json('['.repeat(10_000) + ']'.repeat(10_000))), /^HTTP\/1.1 400/, 'deep')
  t.match(await raw(port, json('{}', 'Content-Encoding: gzip\r\n')), /^HTTP\/1.1 415/)
  t.match(await raw(port, `POST /functions/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n`), /^HTTP\/1.1 413/, 'refused before a byte of it has come')
  t.match(await raw(port, `POST /functions/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${`80000\r\n${' '.repeat(0x80000)}\r\n`.repeat(3)}`), /^HTTP\/1.1 413/, 'no length, too long')
  t.match(await raw(port, `POST /functions/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`), /^HTTP\/1.1 400/, 'two lengths')
  t.match(await raw(port, `GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n${'X-Big: '.padEnd(20_000, 'x')}\r\n\r\n`), /^HTTP\/1.1 431/)
  t.match(await raw(port, 'GET /healthz HTTP/1.1\r\n\r\n'), /^HTTP\/1.1 400/, 'no Host')
  t.match(await raw(port, 'GET /healthz HTTP/1.0\r\n\r\n'), /^HTTP\/1.1 403/, 'no Host, old')
  t.match(await raw(port, '\u0016\u0003\u0001\u0000TLS?\r\n\r\n'), /^HTTP\/1.1 400/)
  t.match(await raw(port, 'GET /functions/%ff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'), /^HTTP\/1.1 400/)
  for (const path of ['/', '//', '/functions/', '/functions/a/b', '/../etc/passwd', '/metrics/x', '*']) t.match(await raw(port, `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`), /^HTTP\/1.1 404/, path)
  t.match(await raw(port, 'GET /functions/echo HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'), /^HTTP\/1.1 405[^]*allow: POST/i)
  t.equal(door.asked.length, 0, 'nothing of it ran')
  t.equal((await post(door, '/functions/echo', 'null')).status, 200, 'and it still serves')
  const long = JSON.stringify('x'.repeat(1_048_573))
  t.equal((await post(door, '/functions/echo', long)).status, 413, 'fits as JSON, not as a payload')
  t.match(await post(door, '/functions/echo', Array.from({ length: 30_000 }, () => ({}))), { status: 413 }, 'small, but of very many values')
})

test('where it listens', async (t) => {
  t.same(readHttpAddress('8080'), { host: '127.0.0.1', port: 8080 })
  t.same(readHttpAddress(':8080'), { host: '127.0.0.1', port: 8080 })
  t.same(readHttpAddress('[::1]:80'), { host: '::1', port: 80 })
  t.same(readHttpAddress('node.example:80'), { host: 'node.example', port: 80 })
  for (const wrong of ['', 'x', '99999', 'host:', 'a:b:1', '[x]:1', 'http://x:1', '-1', '1.5']) t.throws(() => readHttpAddress(wrong), { code: 'KALI_ERR_HTTP_ADDRESS' }, wrong)
  const door = await open(t)
  await t.rejects(open(t, undefined, { listen: `127.0.0.1:${door.port}` }), { code: 'KALI_ERR_HTTP_LISTEN', message: /EADDRINUSE/ })
})

test('the token is made once, whole, for its owner only', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'kumoi-http-'))
  t.teardown(() => rm(data, { recursive: true }))
  const token = await httpToken(data, systemRandom)
  t.match(token, /^[A-Za-z0-9_-]{43}$/)
  t.equal(await httpToken(data, systemRandom), token)
  t.equal((await stat(join(data, 'http-token'))).mode & 0o777, 0o600)
  await writeFile(join(data, 'http-token'), 'half', { mode: 0o644 })
  const next = await httpToken(data, systemRandom)
  t.equal((await readFile(join(data, 'http-token'), 'utf8')).trim(), next, 'a damaged one is replaced')
  t.equal((await stat(join(data, 'http-token'))).mode & 0o777, 0o600)
})
