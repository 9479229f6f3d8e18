// Byte streams of objects, such as a VM's serial console: opened by name, bytes both ways until either side closes.
//
//   shell <--rmo.stream--> [relay] <--rmo.stream--> [home] <-- kind.streams[name].open
//
// The gate stands at the home. A reader that falls behind by more than LIMITS.byteStreamBacklogBytes is cut off with
// RMO_ERR_BUSY: a console's past is not worth a node's memory.

import { LIMITS } from '../fabric/base.ts'
import type { Clock, NodeId } from '../fabric/base.ts'
import type { CallContext, ClientStream, RpcRegistry, RpcStream } from '../fabric/mod.ts'
import type { Authority } from '../functions/mod.ts'
import { createOpenRights } from './acl/standing.ts'
import type { NodeCapabilities } from './capabilities.ts'
import type { Target } from './directory.ts'
import { RMO } from './errors.ts'
import { METHODS, readStream } from './messages.ts'

/** The home's first message: the stream is open, and what comes now is its bytes. A refusal is the stream's error instead. */
const OPENED = new Uint8Array()

/** Bytes both ways; every `onData` and `onClose` listener is told, `onClose` once. */
export interface ByteChannel {
  write(bytes: Uint8Array): Promise<void>
  onData(listener: (bytes: Uint8Array) => void): void
  onClose(listener: (reason: string) => void): void
  close(): void
}

export interface ByteStreamOptions {
  readonly registry: RpcRegistry
  readonly capabilities: NodeCapabilities
  readonly clock: Clock
  readonly openPeer: (node: NodeId, method: string, body: unknown, authority: Authority) => ClientStream | Promise<ClientStream>
}

/** Pumps a channel and a stream into each other; resolves with the reason of the end, rejects when `refused` does. */
async function serveChannel(channel: ByteChannel, name: string, stream: RpcStream, refused: Promise<never>): Promise<string> {
  let backlogBytes = 0
  const ended = Promise.withResolvers<string>()
  channel.onClose((reason) => ended.resolve(reason))
  channel.onData((bytes) => {
    backlogBytes += bytes.byteLength
    if (backlogBytes > LIMITS.byteStreamBacklogBytes) return ended.reject(RMO.BUSY({ what: 'unread bytes', machine: name, limit: LIMITS.byteStreamBacklogBytes }))
    stream.write(bytes).then(() => { backlogBytes -= bytes.byteLength }, (error: unknown) => ended.reject(error))
  })
  const input = async (): Promise<string> => {
    for await (const message of stream) if (message instanceof Uint8Array) await channel.write(message)
    return 'closed by the reader'
  }
  try {
    return await Promise.race([ended.promise, input(), refused])
  } finally {
    channel.close()
    ended.promise.catch(() => {})
    stream.end()
  }
}

/** Passes messages of one stream to another until the first ends. */
async function pass(from: RpcStream, to: RpcStream): Promise<void> {
  for await (const message of from) await to.write(message)
  to.end()
}

export function registerByteStreams({ registry, capabilities, openPeer, clock }: ByteStreamOptions): void {
  const rights = createOpenRights({ clock })
  const here = async (target: Target, stream: string, authority: Authority, client: RpcStream): Promise<unknown> => {
    const found = capabilities.find(target)
    const spec = found.kind.streams[stream]
    if (spec === undefined) throw RMO.VERB_UNKNOWN({ kind: target.kind, verb: stream, verbs: Object.keys(found.kind.streams) })
    await capabilities.pass(found, stream, spec.acl, authority)
    const channel = await spec.open(found.object.local, authority)
    const refused = Promise.withResolvers<never>()
    const letGo = rights.hold(() => capabilities.denial(found, stream, spec.acl, authority), (refusal) => refused.reject(refusal))
    try {
      await client.write(OPENED)
      return await serveChannel(channel, found.name, client, refused.promise)
    } finally {
      letGo()
      refused.promise.catch(() => {})
    }
  }
  const relayed = async (home: NodeId, target: Target, stream: string, authority: Authority, client: RpcStream): Promise<unknown> => {
    const onward = await openPeer(home, METHODS.stream, { ...target, home, stream }, authority)
    onward.result.catch(() => {})
    try {
      await Promise.race([pass(onward, client), pass(client, onward)])
      return await onward.result
    } finally {
      onward.cancel()
    }
  }
  registry.stream(METHODS.stream, (body, context: CallContext, client) => {
    const { kind, uuid, home, stream } = readStream(body)
    const target = { kind, uuid, home }
    const owner = context.caller.via === 'socket' && capabilities.objectHere(target) === undefined
      ? capabilities.directory.locate(capabilities.kinds.kindOf(kind), target) : capabilities.self
    return owner === capabilities.self ? here(target, stream, context, client) : relayed(owner, target, stream, context, client)
  })
}
