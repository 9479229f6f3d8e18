// One RPC connection: takes frames from a channel, gives them to the calling or the serving half, and
// ends both when the channel ends. Frames of calls that this side opened carry negative numbers.
//
// Bytes that break the protocol end the connection with a goodbye that says why; they never throw into
// the channel and never leave a call pending. One timer per connection looks after all deadlines.

import { assert } from '../assert.ts'
import type { Timer } from '../clock.ts'
import { FABRIC } from '../errors-table.ts'
import { CodedError, fromErrorRecord, toErrorRecord } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { CallClient } from './client.ts'
import type { RpcPeer, RpcPeerOptions } from './contract.ts'
import type { Lane, PeerHost } from './host.ts'
import { MESSAGE, decodeMessage, encodeEvent, encodeGoodbye, isFragment } from './messages.ts'
import type { Message } from './messages.ts'
import { NO_CALL, Outbox } from './outbox.ts'
import { Reassembly } from './reassembly.ts'
import { Registry } from './registry.ts'
import { CallServer } from './server.ts'

export function createRpcPeer(options: RpcPeerOptions): RpcPeer {
  const { channel, caller, clock, registry } = options
  assert(registry instanceof Registry, 'the registry of an RPC peer comes from createRegistry()')
  const methods: Registry = registry
  const name = caller.via === 'link' ? caller.name : 'the local socket'
  const listeners: ((reason?: Error) => void)[] = []
  let closed = false
  let closeReason: Error | undefined
  let timer: Timer | undefined
  let timerDueMs = Infinity

  const roomAgain = (): void => {
    if (closed) return
    client.roomAgain()
    server.roomAgain()
  }
  const lanes = {
    rpc: { outbox: new Outbox((frame) => channel.send('rpc', frame), roomAgain), reassembly: new Reassembly() },
    bulk: { outbox: new Outbox((frame) => channel.send('bulk', frame), roomAgain), reassembly: new Reassembly() },
  }
  const host: PeerHost = {
    clock, name,
    get closed() { return closed },
    post(lane, call, message, handed) {
      if (closed) return
      lanes[lane].outbox.post(call, message, handed)
      if (lanes[lane].outbox.flooded) end('it does not read', FABRIC.PROTOCOL({ reason: `it asks without reading the answers (${LIMITS.queuedFramesMax} frames wait)` }), 'tell')
    },
    drop: (lane, call) => lanes[lane].outbox.drop(call),
    hasRoom: (lane) => lanes[lane].outbox.hasRoom,
    armDeadline(deadlineMs) { if (deadlineMs < timerDueMs - LIMITS.deadlineStepMs) arm(deadlineMs) },
  }
  const client = new CallClient(host)
  const server = new CallServer({ host, registry: methods, caller, principal: options.principal, refuse: options.refuse })

  /** The timer may fire for calls that have ended since: cheaper than cancelling it at every answer. */
  function arm(deadlineMs: number): void {
    timer?.cancel()
    timerDueMs = deadlineMs + LIMITS.deadlineStepMs
    timer = clock.after(Math.max(LIMITS.deadlineStepMs, timerDueMs - clock.nowMs()), () => {
      timer = undefined
      timerDueMs = Infinity
      const nowMs = clock.nowMs()
      const nextMs = Math.min(client.sweep(nowMs), server.sweep(nowMs))
      if (nextMs < Infinity && !closed) host.armDeadline(nextMs)
      // A connection keeps a process alive by its own handle, not by the bookkeeping of its deadlines.
    }, { background: true })
  }

  function end(reason: string, cause: Error | undefined, goodbye: 'tell' | 'silent'): void {
    if (closed) return
    if (goodbye === 'tell') channel.send('rpc', encodeGoodbye(cause === undefined ? undefined : toErrorRecord(cause, FABRIC.PROTOCOL.code)))
    closed = true
    closeReason = cause
    timer?.cancel()
    channel.close()
    client.close(reason, cause)
    server.close(reason, cause)
    for (const listener of listeners.splice(0)) listener(cause)
  }

  function receive(frame: Uint8Array, lane: Lane): void {
    if (closed) return
    try {
      if (!isFragment(frame)) dispatch(decodeMessage(frame), frame.length, lane)
      else {
        const whole = lanes[lane].reassembly.take(frame)
        if (whole !== undefined) dispatch(decodeMessage(whole), whole.length, lane)
      }
    } catch (error) {
      if (!(error instanceof CodedError)) throw error
      end(error.message, error, 'tell')
    }
  }

  function dispatch(message: Message, messageBytes: number, lane: Lane): void {
    switch (message.type) {
      case MESSAGE.OPEN: server.open(message, lane); return
      case MESSAGE.RESULT: client.result(ours(message.call), message.body); return
      case MESSAGE.FAIL: client.failed(ours(message.call), message.error); return
      case MESSAGE.CANCEL: server.cancel(theirs(message.call), message.error); return
      case MESSAGE.DATA: streamOf(message.call)?.deliver(message.body, messageBytes); return
      case MESSAGE.END: streamOf(message.call)?.remoteEnd(); return
      case MESSAGE.CREDIT: streamOf(message.call)?.credited(message.bytes); return
      case MESSAGE.EVENT: methods.fire(message.name, message.body, caller); return
      case MESSAGE.GOODBYE:
        if (message.error === undefined) end('it said goodbye', undefined, 'silent')
        else end(`it said: ${message.error.message}`, fromErrorRecord(message.error), 'silent')
        return
      case 'unknown': return
    }
  }

  const streamOf = (call: number) => (call < 0 ? client.stream(-call) : server.stream(call))

  channel.onFrame(receive)
  channel.onDrain(() => {
    lanes.rpc.outbox.drained()
    lanes.bulk.outbox.drained()
  })
  channel.onClose((reason) => end(reason?.message ?? 'the connection closed', reason, 'silent'))

  return {
    caller,
    call: (method, body, callOptions = {}) => client.call(method, body, callOptions),
    open: (method, body, callOptions = {}) => client.open(method, body, callOptions),
    emit(event, body) {
      const frame = encodeEvent(event, body)
      if (frame.length > LIMITS.fragmentBytesMax) throw FABRIC.MESSAGE_TOO_LARGE({ what: `Event ${event}`, bytes: frame.length, bytesMax: LIMITS.fragmentBytesMax })
      host.post('rpc', NO_CALL, frame)
    },
    get closed() { return closed },
    onClose(listener) {
      if (closed) listener(closeReason)
      else listeners.push(listener)
    },
    close: (reason) => end(reason?.message ?? 'it was closed here', reason, 'tell'),
  }
}

function ours(call: number): number {
  if (call > 0) throw FABRIC.PROTOCOL({ reason: 'an answer from the side that asked' })
  return -call
}
function theirs(call: number): number {
  if (call < 0) throw FABRIC.PROTOCOL({ reason: 'a cancellation of a call of ours' })
  return call
}
