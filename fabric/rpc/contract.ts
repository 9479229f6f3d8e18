// RPC contract: calls, streams with credit, events, over any FrameChannel (a link's lanes, or the
// local Unix socket). Bodies are plain data of the hardened CBOR profile (fabric/rpc/codec.ts):
// null, boolean, number, bigint, string, Uint8Array, arrays, and null-prototype maps with string keys.
// User values never appear in bodies except as opaque byte strings.

import type { Clock } from '../clock.ts'
import type { NodeId } from '../id.ts'

export type Body = unknown

/** Who is at the other end. Local shells come through the node's Unix socket. */
export type Caller =
  | { readonly via: 'link'; readonly node: NodeId; readonly name: string }
  | { readonly via: 'socket'; readonly uid: number }

/** Travels with each call and shrinks or grows per hop. */
export interface CallMeta {
  /** On whose behalf, e.g. "local:0" or "local:0/tenant". Set by the entry node, believed between members. */
  readonly principal: string
  /** One id for everything that a user's call caused, 16 hex characters. */
  readonly trace: string
  /** Calls between the user's and this one; above LIMITS.hopsMax refused with FABRIC_ERR_TOO_MANY_HOPS. */
  readonly hop: number
}

export interface CallContext extends CallMeta {
  readonly caller: Caller
  /** Aborts on cancellation, deadline or loss of the caller. Its reason is a CodedError. */
  readonly signal: AbortSignal
  /** Milliseconds left until the deadline, on this node's monotonic clock. */
  remainingMs(): number
}

/** What a nested call inherits. */
export type CallParent = Omit<CallContext, 'caller'>

export interface CallOptions {
  /** Budget of the call; sent as remaining milliseconds, never as a wall-clock time. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /** Same key within the window = one effect, same answer. */
  readonly idempotencyKey?: string
  /** Continues a call: principal, trace and hop + 1, and never more time than it has left. */
  readonly parent?: CallParent
  /** For an entry node only: starts a call on behalf of a principal. */
  readonly principal?: string
  readonly lane?: 'rpc' | 'bulk'
}

/** One direction-pair of messages inside a call. */
export interface RpcStream extends AsyncIterable<Body> {
  /** Sends one message; resolves when credit allows the next. Rejects with the error that ended the stream. */
  write(message: Body): Promise<void>
  /** Writes that wait for credit; with LIMITS.pendingWritesMax of them the next is refused. */
  readonly waiting: number
  /** No more messages from this side. */
  end(): void
  /** The next message; undefined after the other side's end. Rejects with its coded error. Advances credit. */
  read(): Promise<Body | undefined>
  /** Ends both directions; the other side's signal aborts with this error. */
  cancel(error?: Error): void
}
/** Client end: `result` is the body the handler returned. */
export interface ClientStream extends RpcStream { readonly result: Promise<Body> }

export interface RpcPeer {
  readonly caller: Caller
  call(method: string, body: Body, options?: CallOptions): Promise<Body>
  /** Opens a stream; the first frames ride with the open, so a short exchange is one round trip. */
  open(method: string, body: Body, options?: CallOptions): ClientStream
  /** Fire and forget. */
  emit(event: string, body: Body): void
  readonly closed: boolean
  /** `reason` is the coded error that ended the connection; undefined after a goodbye of either side. */
  onClose(closed: (reason?: Error) => void): void
  /** `reason`, a coded error, is told to the other side: its calls under way fail with it as their cause. */
  close(reason?: Error): void
}

export type Handler = (body: Body, context: CallContext) => Body | Promise<Body>
export type StreamHandler = (body: Body, context: CallContext, stream: RpcStream) => Promise<Body>

/** Methods and events of a node; one registry serves links and the local socket. Registering a name twice is a broken invariant. */
export interface RpcRegistry {
  method(name: string, handler: Handler): void
  stream(name: string, handler: StreamHandler): void
  event(name: string, handler: (body: Body, caller: Caller) => void): void
  /** Puts something round a method that is registered: `wrap` gets what it does now and answers what it does from here on. False: there is none of the name. */
  around(name: string, wrap: (inner: AnyHandler) => AnyHandler): boolean
}
/** A method's handler or a stream method's: a method's leaves out the stream. */
export type AnyHandler = (body: Body, context: CallContext, stream: RpcStream | undefined) => Body | Promise<Body>

/** What RPC needs of whatever carries it: ordered frames, back-pressure, close. */
export interface FrameChannel {
  send(lane: 'rpc' | 'bulk', frame: Uint8Array): boolean
  onFrame(receive: (frame: Uint8Array, lane: 'rpc' | 'bulk') => void): void
  onDrain(drained: () => void): void
  /** `reason` is set when the channel ended for a fault (oversize frame, slow frame, reset). */
  onClose(closed: (reason?: Error) => void): void
  close(): void
  /** Whether the open channel keeps the process alive; default yes. Channels without a handle leave it out. */
  hold?(alive: boolean): void
}

export interface RpcPeerOptions {
  readonly channel: FrameChannel
  readonly caller: Caller
  readonly registry: RpcRegistry
  readonly clock: Clock
  /** Fallback principal for calls that arrive on this channel without one (Unix socket: "local:<uid>"); on sockets it overrides what the frame says unless that extends it by "/suffix". A function is asked at each call: a connection may become a user's. */
  readonly principal?: string | (() => string)
  /** Asked before each call that comes in: a coded error refuses it. */
  readonly refuse?: (method: string, principal: string) => (Error & { readonly code: string }) | undefined
}
