// TCP: the listening end with its door, and the dialling end.
//
// The listener gives a stranger a place, waits for its first byte, charges its source, and only then spends
// cryptography on it; a stranger who completes Noise is handed on, still in its place, until `leave`.

import { Server, Socket, createServer } from 'node:net'
import type { Clock } from '../clock.ts'
import { errorCode } from '../errors.ts'
import type { NodeId } from '../id.ts'
import type { Keys } from '../identity/keys.ts'
import { LIMITS } from '../limits.ts'
import { splitAddress } from './address.ts'
import type { Address } from './address.ts'
import type { Door } from './door.ts'
import { SOCKET_OPTIONS, openTcpWire } from './tcp.ts'
import type { Wire } from './wire.ts'

export interface ListenerOptions {
  readonly keys: Keys
  readonly host: string
  readonly port: number
  readonly door: Door
  readonly clock: Clock
  /** A stranger with a proved key. `leave` gives its place in the door back; call it when the hello is over. */
  readonly onWire: (wire: Wire, leave: () => void) => void
}

export interface Listener {
  readonly port: number
  /** Accepts no more; lets what is open end by itself (goodbyes are on their way), then cuts it. */
  close(): Promise<void>
}

/** Rejects with the operating system's error. */
export function listen(options: ListenerOptions): Promise<Listener> {
  const sockets = new Set<Socket>()
  const server: Server = createServer(SOCKET_OPTIONS, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    receive(socket, options)
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: options.host, port: options.port, exclusive: true }, () => {
      server.off('error', reject)
      // Running out of descriptors is reported here; the listener goes on when there are some again.
      server.on('error', () => {})
      const address = server.address()
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : options.port,
        close: () => new Promise((done) => {
          const timer = options.clock.after(LIMITS.transportCloseMs, () => { for (const socket of sockets) socket.destroy() })
          server.close(() => {
            timer.cancel()
            done()
          })
        }),
      })
    })
  })
}

function receive(socket: Socket, options: ListenerOptions): void {
  const { door, clock } = options
  const source = socket.remoteAddress ?? ''
  const place = door.enter(source, () => socket.destroy())
  if (place === undefined) return void socket.destroy()
  const leave = (): void => {
    timer.cancel()
    door.leave(place)
  }
  const timer = clock.after(LIMITS.helloTimeoutMs, () => socket.destroy(), { background: true })
  socket.once('close', leave)
  socket.once('data', (first: Buffer) => {
    if (!door.speak(place, clock.nowMs())) return void socket.destroy()
    openTcpWire(socket, {
      keys: options.keys, remote: undefined, clock,
      opened: (wire) => {
        timer.cancel()
        options.onWire(wire, leave)
      },
      failed: () => {},
    }, first)
  })
}

/** How a TCP dial ended without a wire. 'refused': nobody listens there. 'closed': somebody did, and hung up. */
export type DialFailure = 'refused' | 'closed' | 'silent'

export interface DialOptions {
  readonly keys: Keys
  readonly peer: NodeId
  readonly address: string
  /** Address to dial from; the one served, so that answers and firewalls see one address per node. */
  readonly from: string
  readonly timeoutMs: number
  readonly clock: Clock
  /** Called with the wire synchronously when its handshake completes. */
  readonly opened: (wire: Wire) => void
  readonly failed: (why: DialFailure) => void
}

export function dialTcp(options: DialOptions): void {
  const target = splitAddress(options.address)
  if (target === undefined) return options.failed('refused')
  const socket = new Socket(SOCKET_OPTIONS)
  let over = false
  let failure: DialFailure = 'closed'
  const fail = (): void => {
    if (over) return
    over = true
    timer.cancel()
    options.failed(failure)
  }
  const timer = options.clock.after(options.timeoutMs, () => {
    failure = 'silent'
    socket.destroy()
    fail()
  }, { background: true })
  socket.on('error', (error) => { failure = errorCode(error) === 'ECONNREFUSED' ? 'refused' : failure })
  socket.once('close', fail)
  socket.connect({ ...target, ...localAddress(options.from, target.host) }, () => {
    openTcpWire(socket, {
      keys: options.keys, remote: Buffer.from(options.peer, 'hex'), clock: options.clock,
      opened: (wire) => {
        over = true
        timer.cancel()
        options.opened(wire)
      },
      failed: fail,
    })
  })
}

/**
 * True when the operating system at every one of `addresses` says that nobody listens there. A dying process may
 * close its streams a moment before its listener, and the kernel accepts meanwhile: an accepted knock counts as
 * an answer only if it stays open; one that is hung up on is repeated.
 */
export async function probeRefused(addresses: readonly string[], from: string, clock: Clock): Promise<boolean> {
  const deadlineMs = clock.nowMs() + LIMITS.resetProbeMs
  const refused = async (target: Address): Promise<boolean> => {
    for (;;) {
      const answer = await knock(target, from, clock, deadlineMs - clock.nowMs())
      if (answer === 'refused') return true
      if (answer === 'open' || clock.nowMs() >= deadlineMs) return false
      await new Promise<void>((resolve) => clock.after(LIMITS.resetProbePauseMs, resolve, { background: true }))
    }
  }
  const targets = addresses.map(splitAddress).filter((target) => target !== undefined)
  const answers = await Promise.all(targets.map(refused))
  return answers.length > 0 && answers.every((answer) => answer)
}

function knock(target: Address, from: string, clock: Clock, timeoutMs: number): Promise<'refused' | 'open' | 'hung-up'> {
  return new Promise((resolve) => {
    const socket = new Socket()
    let answer: 'refused' | 'open' | 'hung-up' = 'hung-up'
    const timer = clock.after(Math.max(0, timeoutMs), () => {
      answer = 'open'
      socket.destroy()
    }, { background: true })
    socket.on('error', (error) => { if (errorCode(error) === 'ECONNREFUSED') answer = 'refused' })
    socket.once('close', () => {
      timer.cancel()
      resolve(answer)
    })
    // Reading is what makes the peer's hanging up visible.
    socket.resume()
    socket.connect({ ...target, ...localAddress(from, target.host) })
  })
}

/** A wildcard listener lets the routing table choose; so does a loopback one that dials another machine, and the reverse. */
function localAddress(from: string, to: string): { readonly localAddress?: string } {
  const loopback = (host: string): boolean => host.startsWith('127.')
  return from === '0.0.0.0' || loopback(from) !== loopback(to) ? {} : { localAddress: from }
}
