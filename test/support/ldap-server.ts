// An LDAP server of our own that says what a test wants: BER just enough to answer, over TLS or before it. For servers that lie,
// hang, close, send garbage; a real one is slapd.ts, and a directory without a wire fake-directory.ts.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { TLSSocket, createServer as createTlsServer } from 'node:tls'
import type { Test } from 'tap'
import { OPERATION, frameOf, headOf } from '../../kali/trust/ldap-message.ts'
import type { Certificates } from './slapd.ts'

/** One element: tag, length, body. */
export function ber(tag: number, ...parts: readonly (string | Uint8Array)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)))
  const length = body.length < 128 ? Buffer.from([body.length]) : Buffer.from([0x84, body.length >>> 24, (body.length >>> 16) & 255, (body.length >>> 8) & 255, body.length & 255])
  return Buffer.concat([Buffer.from([tag]), length, body])
}
export const message = (id: number, operation: Uint8Array): Buffer => ber(0x30, ber(0x02, Buffer.from([id])), operation)
export const result = (tag: number, code: number): Buffer => ber(tag, ber(0x0a, Buffer.from([code])), ber(0x04), ber(0x04))
export const entry = (dn: string | Uint8Array, attributes: Readonly<Record<string, readonly (string | Uint8Array)[]>>): Buffer =>
  ber(OPERATION.searchEntry, ber(0x04, dn), ber(0x30, ...Object.entries(attributes).map(([type, values]) => ber(0x30, ber(0x04, type), ber(0x31, ...values.map((value) => ber(0x04, value)))))))

export interface Question { readonly id: number; readonly operation: number; readonly body: Uint8Array; readonly socket: Socket }
/** Bytes to answer with; undefined: nothing. */
export type Answers = (question: Question) => Uint8Array | undefined

export const ALICE = 'uid=alice,ou=people,dc=lab'
export const alice = entry(ALICE, { uid: ['alice'] })
/** A server with one user, alice, whose password is not asked about: each test makes one answer of it wrong. */
export const honest: Answers = ({ id, operation }) => {
  if (operation === OPERATION.bind) return message(id, result(OPERATION.bindResponse, 0))
  if (operation === OPERATION.search) return Buffer.concat([message(id, alice), message(id, result(OPERATION.searchDone, 0))])
  return operation === OPERATION.extended ? message(id, result(OPERATION.extendedResponse, 0)) : undefined
}

export interface LdapServer { readonly port: number; /** Passwords seen, in order. */ readonly passwords: readonly string[] }
export interface LdapServerOptions {
  readonly certificates: Certificates
  readonly answers: Answers
  /** TLS after StartTLS; what is answered to it goes out in the clear. Undefined: TLS from the first byte. */
  readonly startTls?: Answers
  /** Called with each new connection, before TLS and again after it; true: it is dealt with, and nothing is read. */
  readonly onConnection?: (socket: Socket) => boolean
  readonly onSecure?: (socket: Socket) => boolean
  readonly tls?: { readonly maxVersion: 'TLSv1.1'; readonly minVersion: 'TLSv1.1' }
}

/** Listens on 127.0.0.1; ends with the test, its connections too. */
export async function startLdapServer(t: Pick<Test, 'teardown'>, { certificates, answers, startTls, onConnection, onSecure, tls }: LdapServerOptions): Promise<LdapServer> {
  const open = new Set<Socket>()
  const passwords: string[] = []
  const secure = { key: readFileSync(certificates.key), cert: readFileSync(certificates.cert), ...tls, ...(tls === undefined ? {} : { ciphers: 'DEFAULT@SECLEVEL=0' }) }
  const keep = (socket: Socket): void => {
    open.add(socket)
    socket.on('close', () => open.delete(socket)).on('error', () => {})
  }
  const serve = (socket: Socket): void => {
    keep(socket)
    if (onSecure?.(socket) === true) return
    listen(socket, (question) => {
      // version, DN, then the password: the last element of a simple bind.
      if (question.operation === OPERATION.bind) passwords.push(Buffer.from(question.body).toString('latin1').replace(/^[\s\S]*\x80[\s\S]/, ''))
      const bytes = answers(question)
      if (bytes !== undefined) socket.write(bytes)
    })
  }
  const upgrade = (socket: Socket, reply: Answers): void => {
    const stop = listen(socket, (question) => {
      stop()
      if (question.operation === OPERATION.bind) passwords.push('in the clear')
      const bytes = reply(question)
      if (bytes !== undefined) socket.write(bytes)
      serve(new TLSSocket(socket, { isServer: true, ...secure }))
    })
  }
  const server: Server = createServer((socket) => {
    keep(socket)
    if (onConnection?.(socket) === true) return
    if (startTls === undefined) tlsServer.emit('connection', socket)
    else upgrade(socket, startTls)
  })
  const tlsServer = createTlsServer(secure, serve).on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    for (const socket of open) socket.destroy()
    await new Promise((done) => server.close(done))
  })
  return { port: (server.address() as AddressInfo).port, passwords }
}

/** Calls back for each whole message; what it returns ends that. */
function listen(socket: Socket, each: (question: Question) => void): () => void {
  let seen = Buffer.alloc(0)
  const take = (chunk: Buffer): void => {
    seen = Buffer.concat([seen, chunk])
    for (let frame = frameOf(seen); frame !== undefined && frame.total <= seen.length; frame = frameOf(seen)) {
      const head = headOf(seen.subarray(0, frame.total))
      seen = seen.subarray(frame.total)
      each({ ...head, socket })
    }
  }
  socket.on('data', take)
  return () => socket.off('data', take)
}
