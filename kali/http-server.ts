// The listening half of the HTTP door: TLS, and what a connection may cost before anybody has said who he is.
//
// Bounded here: connections, those of one source, TLS handshakes under way and new ones of a source in a second (the same door
// as in front of the hello between nodes, fabric/transport/door.ts), headers and the time to send them, idle time. This machine's
// own programs share one address and are not counted by source. Source: reliability.md 4.2; RFC 9112 for what Node's parser refuses.

import { createServer } from 'node:http'
import type { RequestListener, Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Server as TlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { errorCode, LIMITS } from '../fabric/base.ts'
import type { Clock } from '../fabric/base.ts'
import { Door } from '../fabric/mod.ts'
import { KALI } from './errors.ts'
import { isLoopback } from './http-request.ts'
import type { HttpAddress } from './http-request.ts'
import type { TlsPair } from './http-tls.ts'

export interface HttpServerOptions {
  readonly address: HttpAddress
  /** As it was asked for, for messages. */
  readonly listen: string
  readonly pair: TlsPair | undefined
  readonly clock: Clock
  readonly serve: RequestListener
}

export interface HttpServer {
  readonly url: string
  /** Puts a renewed certificate in the place of the one before, for new connections. */
  renew(pair: TlsPair): void
  /** Takes no more; `cancel` is called before connections are cut, so that its answers leave first. */
  close(cancel: () => void): Promise<void>
}

/** How often Node looks for connections that take too long. */
const CHECK_MS = 1_000
const CLIENT_ERRORS: Readonly<Record<string, string>> = { ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout', HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large' }

/** Rejects with HTTP_LISTEN. */
export async function openHttpServer({ address: { host, port }, listen, pair, clock, serve }: HttpServerOptions): Promise<HttpServer> {
  const bounds = {
    maxHeaderSize: LIMITS.httpHeaderBytesMax, headersTimeout: LIMITS.httpHeadersTimeoutMs, requestTimeout: LIMITS.httpRequestTimeoutMs,
    keepAliveTimeout: LIMITS.httpIdleMs, connectionsCheckingInterval: CHECK_MS, requireHostHeader: true, insecureHTTPParser: false,
  }
  const secure = pair === undefined ? undefined : createTlsServer({ ...bounds, ...pair.context, handshakeTimeout: LIMITS.httpTlsHandshakeMs, ALPNProtocols: ['http/1.1'] }, serve)
  const server: Server | TlsServer = secure ?? createServer(bounds, serve)
  server.maxHeadersCount = LIMITS.httpHeadersMax
  server.maxConnections = LIMITS.httpConnectionsMax
  // Malformed requests and timeouts: Node's own answer names nothing of ours; ours has to be no more than this.
  server.on('clientError', (error, socket) => {
    if (socket.writable && errorCode(error) !== 'ECONNRESET') socket.end(`HTTP/1.1 ${CLIENT_ERRORS[errorCode(error) ?? ''] ?? '400 Bad Request'}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    else socket.destroy()
  })
  boundSources(server, secure, clock)
  await new Promise<void>((done, reject) => {
    server.once('error', (error) => reject(KALI.HTTP_LISTEN({ address: listen, reason: error.message }, { cause: error })))
    server.listen({ host, port }, done)
  })
  const { address, port: bound, family } = server.address() as AddressInfo
  return {
    url: `${secure === undefined ? 'http' : 'https'}://${family === 'IPv6' ? `[${address}]` : address}:${bound}`,
    renew: ({ context }) => secure?.setSecureContext(context),
    close: (cancel) => new Promise((done) => {
      server.close(() => done())
      cancel()
      server.closeIdleConnections()
      // The answers "cancelled" leave first.
      setImmediate(() => server.closeAllConnections())
    }),
  }
}

function boundSources(server: Server | TlsServer, secure: TlsServer | undefined, clock: Clock): void {
  const door = new Door()
  const counts = new Map<string, number>()
  /** By address and port of the other end. */
  const handshakes = new Map<string, () => void>()
  const endOf = ({ remoteAddress = '', remotePort = 0 }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string => `${remoteAddress} ${remotePort}`
  server.prependListener('connection', (socket: Socket) => {
    const source = socket.remoteAddress ?? ''
    if (isLoopback(source)) return
    const count = (counts.get(source) ?? 0) + 1
    counts.set(source, count)
    socket.once('close', () => {
      const left = (counts.get(source) ?? 1) - 1
      if (left === 0) counts.delete(source)
      else counts.set(source, left)
    })
    if (count > LIMITS.httpConnectionsPerSourceMax) return void socket.destroy()
    if (secure === undefined) return
    const place = door.enter(source, () => socket.destroy())
    if (place === undefined || !door.speak(place, clock.nowMs())) return void socket.destroy()
    const end = endOf(socket)
    const leave = (): void => {
      handshakes.delete(end)
      door.leave(place)
    }
    socket.once('close', leave)
    handshakes.set(end, leave)
  })
  secure?.on('secureConnection', (socket) => { handshakes.get(endOf(socket))?.() })
  secure?.on('tlsClientError', (_error, socket) => socket.destroy())
}
