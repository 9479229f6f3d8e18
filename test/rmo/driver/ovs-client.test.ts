// The OVSDB client against a server of our own that misbehaves on demand: refusals, silence, garbage, a connection that
// breaks in the middle of a transaction. What a real ovsdb-server does is in switches.test.ts and ovs-restart.test.ts.

import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { LIMITS, systemClock } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import { createOvsdbClient } from '../../../rmo/driver/ovs/client.ts'
import { createFraming } from '../../../rmo/driver/ovs/framing.ts'
import { rowsOf } from '../../../rmo/driver/ovs/tables.ts'
import { RMO } from '../../../rmo/errors.ts'
import { callWithin } from '../../support/switch-lab.ts'

interface Request { readonly id: unknown; readonly method?: string; readonly params?: readonly unknown[]; readonly result?: unknown }
type Answer = (request: Request, socket: Socket) => void
const PURPOSE = { operation: 'trying', name: 'sw0' }
const COLUMNS = { Bridge: ['name'] }

const send = (socket: Socket, message: unknown): void => { socket.write(JSON.stringify(message)) }
const rows: Answer = (request, socket) => {
  if (request.method === 'monitor') send(socket, { id: request.id, error: null, result: { Bridge: { u1: { new: { name: 'sw0' } } } } })
}

async function serve(t: Test, answer: Answer) {
  const directory = mkdtempSync(join(tmpdir(), 'kumoi-ovsdb-'))
  const socketPath = join(directory, 'db.sock')
  const sockets = new Set<Socket>()
  const requests: Request[] = []
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    const framing = createFraming({ bytesMax: 1_000_000 })
    socket.on('data', (chunk: Buffer) => {
      for (const text of framing.feed(chunk)) {
        const request = JSON.parse(text) as Request
        requests.push(request)
        answer(request, socket)
      }
    })
  })
  await new Promise<void>((resolve) => { server.listen(socketPath, resolve) })
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise<void>((resolve) => { server.close(() => resolve()) })
    rmSync(directory, { recursive: true, force: true })
  })
  const open = async (clock: Clock = systemClock) => {
    const client = createOvsdbClient({ socketPath, clock, columns: COLUMNS })
    t.teardown(() => client.close())
    await client.open()
    return client
  }
  return { open, sockets, requests, socketPath }
}
const changed = (client: { onChange(listener: () => void): () => void }): Promise<void> => new Promise((resolve) => {
  // The client's own timers keep no process alive.
  const alive = systemClock.after(20_000, () => {})
  const stop = client.onChange(() => { stop(); alive.cancel(); resolve() })
})

test('the first answer fills the tables, updates change them', async (t) => {
  const { open, sockets } = await serve(t, rows)
  const client = await open()
  t.ok(client.synced)
  t.same([...rowsOf(client.tables(), 'Bridge')], [['u1', { name: 'sw0' }]])
  const told = changed(client)
  for (const socket of sockets) send(socket, { id: null, method: 'update', params: ['kumoi', { Bridge: { u1: { old: {} }, u2: { new: { name: 'sw1' } } } }] })
  await told
  t.same([...rowsOf(client.tables(), 'Bridge')], [['u2', { name: 'sw1' }]])
})

test('an echo is answered with what it brought', async (t) => {
  const echoed = Promise.withResolvers<Request>()
  const { open, sockets } = await serve(t, (request, socket) => { rows(request, socket); if (request.id === 'echo') echoed.resolve(request) })
  await open()
  for (const socket of sockets) send(socket, { id: 'echo', method: 'echo', params: ['x'] })
  t.match(await echoed.promise, { id: 'echo', result: ['x'] })
})

test('what the server refuses comes back in its words', async (t) => {
  const { open } = await serve(t, (request, socket) => {
    rows(request, socket)
    if (request.method !== 'transact') return
    const [, operation] = request.params as [string, { op: string }]
    send(socket, operation.op === 'comment'
      ? { id: request.id, error: { error: 'unknown database', details: 'no such thing' }, result: null }
      : { id: request.id, error: null, result: [{}, { error: 'constraint violation', details: 'name is taken' }] })
  })
  const client = await open()
  await t.rejects(client.transact([{ op: 'comment' }], PURPOSE, callWithin(5_000)), { code: RMO.SWITCH_FAILED.code, details: { ...PURPOSE, text: 'unknown database: no such thing' } })
  await t.rejects(client.transact([{ op: 'insert' }], PURPOSE, callWithin(5_000)), { code: RMO.SWITCH_FAILED.code, details: { text: 'constraint violation: name is taken' } })
})

test('no answer ends with the deadline or the caller, and frees the place', async (t) => {
  const { open } = await serve(t, rows)
  const client = await open()
  await t.rejects(client.transact([], PURPOSE, callWithin(20)), { code: RMO.SWITCH_TIMEOUT.code, outcome: 'unknown' })
  const caller = new AbortController()
  const cancelled = client.transact([], PURPOSE, callWithin(5_000, caller.signal))
  caller.abort(new Error('enough'))
  await t.rejects(cancelled, /enough/)
  await t.rejects(client.until(() => undefined, PURPOSE, callWithin(20)), { code: RMO.SWITCH_TIMEOUT.code })
  const alive = systemClock.after(20_000, () => {})
  const waiting = Array.from({ length: LIMITS.ovsdbCallsMax }, () => client.transact([], PURPOSE, callWithin(5_000)).catch((error: { code: string }) => error.code))
  await t.rejects(client.transact([], PURPOSE, callWithin(5_000)), { code: RMO.BUSY.code }, 'the two that ended hold no place')
  client.close()
  t.same(new Set(await Promise.all(waiting)), new Set([RMO.SWITCH_UNAVAILABLE.code]))
  alive.cancel()
})

test('a connection that breaks leaves a transaction unknown, and is made again with everything read', async (t) => {
  let bridge = 'sw0'
  const { open } = await serve(t, (request, socket) => {
    if (request.method === 'monitor') send(socket, { id: request.id, error: null, result: { Bridge: { [bridge]: { new: { name: bridge } } } } })
    if (request.method === 'transact') { bridge = 'sw1'; socket.destroy() }
  })
  const client = await open()
  const lost = changed(client)
  await t.rejects(client.transact([], PURPOSE, callWithin(5_000)), { code: RMO.SWITCH_UNAVAILABLE.code, outcome: 'unknown' })
  await lost
  t.notOk(client.synced)
  t.same([...rowsOf(client.tables(), 'Bridge').keys()], ['sw0'], 'what was seen last is kept')
  await t.rejects(client.transact([], PURPOSE, callWithin(5_000)), { code: RMO.SWITCH_UNAVAILABLE.code, outcome: 'not-started' })
  await changed(client)
  t.ok(client.synced)
  t.same([...rowsOf(client.tables(), 'Bridge').keys()], ['sw1'], 'what was missed is there')
})

test('garbage ends the connection, not the node', async (t) => {
  let first = true
  const { open } = await serve(t, (request, socket) => {
    if (first) { first = false; socket.write('HTTP/1.1 400 Bad Request'); return }
    rows(request, socket)
  })
  const client = await open()
  t.notOk(client.synced, 'open() answers after the first attempt')
  await changed(client)
  t.ok(client.synced)
})

test('silence is asked about, then given up', async (t) => {
  let nowMs = 0
  const timers = new Set<{ readonly atMs: number; readonly run: () => void }>()
  const clock: Clock = {
    nowMs: () => nowMs, wallMs: () => nowMs,
    after(delayMs, run) { const timer = { atMs: nowMs + delayMs, run }; timers.add(timer); return { cancel: () => { timers.delete(timer) } } },
  }
  const advance = (ms: number): void => {
    nowMs += ms
    for (const timer of [...timers]) if (timer.atMs <= nowMs && timers.delete(timer)) timer.run()
  }
  let answering = true
  const asked = Promise.withResolvers<void>()
  const { open } = await serve(t, (request, socket) => {
    rows(request, socket)
    if (request.method !== 'echo') return
    asked.resolve()
    if (answering) send(socket, { id: request.id, error: null, result: [] })
  })
  const client = await open(clock)
  advance(LIMITS.ovsdbEchoMs)
  advance(LIMITS.ovsdbEchoMs)
  await asked.promise
  t.ok(client.synced)
  answering = false
  advance(10 * LIMITS.ovsdbEchoMs)
  t.ok(client.synced, 'one late timer, as after a stall, gives nothing up')
  for (let tick = 0; tick < LIMITS.ovsdbEchoesMax + 1; tick++) advance(LIMITS.ovsdbEchoMs)
  t.notOk(client.synced)
})

test('a server that is not there is tried again', async (t) => {
  const client = createOvsdbClient({ socketPath: '/nonexistent/db.sock', clock: systemClock, columns: COLUMNS })
  t.teardown(() => client.close())
  await client.open()
  t.notOk(client.synced)
  await t.rejects(client.transact([], PURPOSE, callWithin(5_000)), { code: RMO.SWITCH_UNAVAILABLE.code, retryable: true, details: { reason: 'ENOENT' } })
})
