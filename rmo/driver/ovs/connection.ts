// One connection to an OVSDB server: JSON-RPC 1.0 over a stream socket (RFC 7047 section 4), from connect to close.
//
//   request() --> socket --> server            answers are found by id
//   server --"update"--> onUpdate              server --"echo"--> answered with the same params
//
// Bounds: calls under way, bytes of one message, silence (after ovsdbEchoMs without a byte we send an echo; when
// ovsdbEchoesMax have brought none the connection is given up). When it closes every call under way is rejected with the reason; it never opens again: the
// client makes another. I/O edge; framing.ts is the pure part.

import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { LIMITS, errorCode } from '../../../fabric/base.ts'
import type { Clock, Timer } from '../../../fabric/base.ts'
import { createFraming } from './framing.ts'

export interface ConnectionOptions {
  readonly socketPath: string
  readonly clock: Clock
  readonly onUpdate: (params: readonly unknown[]) => void
  /** Once, when it has closed or could not be opened. */
  readonly onClose: (reason: string) => void
}
export interface Connection {
  /** The result. Rejects with an Error: `code` 'OVSDB_CLOSED' when the connection went, 'OVSDB_BUSY' beyond the bound, 'OVSDB_REFUSED' with the server's words. */
  request(method: string, params: readonly unknown[], options?: { readonly signal?: AbortSignal }): Promise<unknown>
  close(reason: string): void
}

type Settle = { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }
const failure = (code: 'OVSDB_CLOSED' | 'OVSDB_BUSY' | 'OVSDB_REFUSED', text: string): Error => Object.assign(new Error(text), { code })

const field = (value: unknown, name: string): unknown => (value as Readonly<Record<string, unknown>>)[name]
/** The server's error: a string, or {error, details}. */
const words = (error: unknown): string => {
  if (typeof error === 'string') return error
  if (typeof error !== 'object' || error === null) return String(error)
  return [field(error, 'error'), field(error, 'details')].filter((part) => typeof part === 'string').join(': ')
}

export function createConnection({ socketPath, clock, onUpdate, onClose }: ConnectionOptions): Connection {
  const calls = new Map<number, Settle>()
  const framing = createFraming({ bytesMax: LIMITS.ovsdbMessageBytesMax })
  let lastId = 0
  let heard = true
  let unanswered = 0
  let echo: Timer | undefined
  let closed: string | undefined

  const socket: Socket = connect({ path: socketPath })
  const write = (message: unknown): void => { socket.write(JSON.stringify(message)) }

  const close = (reason: string): void => {
    if (closed !== undefined) return
    closed = reason
    echo?.cancel()
    socket.destroy()
    const waiting = [...calls.values()]
    calls.clear()
    for (const { reject } of waiting) reject(failure('OVSDB_CLOSED', reason))
    onClose(reason)
  }

  const request: Connection['request'] = (method, params, { signal } = {}) => new Promise((resolve, reject) => {
    if (closed !== undefined) { reject(failure('OVSDB_CLOSED', closed)); return }
    if (calls.size >= LIMITS.ovsdbCallsMax) { reject(failure('OVSDB_BUSY', `${calls.size} calls are under way`)); return }
    const id = ++lastId
    // The place is given back at once; an answer that comes later is nobody's.
    const abandon = (): void => { calls.delete(id); reject(signal?.reason instanceof Error ? signal.reason : failure('OVSDB_CLOSED', 'cancelled')) }
    if (signal?.aborted === true) { abandon(); return }
    signal?.addEventListener('abort', abandon, { once: true })
    const settled = <T>(settle: (value: T) => void) => (value: T): void => { signal?.removeEventListener('abort', abandon); settle(value) }
    calls.set(id, { resolve: settled(resolve), reject: settled(reject) })
    write({ id, method, params })
  })

  const receive = (message: unknown): void => {
    const [id, method, params] = [field(message, 'id'), field(message, 'method'), field(message, 'params')]
    if (method === 'echo') { write({ id, result: params, error: null }); return }
    if (method === 'update') { if (Array.isArray(params)) onUpdate(params); return }
    if (method !== undefined || typeof id !== 'number') return
    const call = calls.get(id)
    calls.delete(id)
    const error = field(message, 'error')
    if (error === null || error === undefined) call?.resolve(field(message, 'result'))
    else call?.reject(failure('OVSDB_REFUSED', words(error)))
  }

  // By ticks and not by the clock: a process that stalled finds its timer due before the bytes that wait in the socket.
  const listenForSilence = (): void => {
    echo = clock.after(LIMITS.ovsdbEchoMs, () => {
      if (!heard && unanswered >= LIMITS.ovsdbEchoesMax) { close(`${unanswered} echoes were not answered`); return }
      if (!heard) {
        unanswered++
        // Only the bytes of the answer matter; its failure is the connection's end, told by onClose.
        request('echo', []).catch(() => {})
      }
      heard = false
      listenForSilence()
    }, { background: true })
  }

  socket.on('connect', listenForSilence)
  socket.on('data', (chunk: Buffer) => {
    heard = true
    unanswered = 0
    try {
      for (const text of framing.feed(chunk)) receive(JSON.parse(text))
    } catch (error) {
      close(`unreadable answer: ${error instanceof Error ? error.message : String(error)}`)
    }
  })
  socket.on('error', (error) => close(errorCode(error) ?? error.message))
  socket.on('close', () => close('the server closed the connection'))

  return { request, close }
}
