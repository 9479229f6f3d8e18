// The rmo methods of a node, registered once for links and for the local socket.
//
// A shell (socket) is served for objects anywhere: this node relays. Another node (link) is served for
// objects that live here and nothing else, so that no call is forwarded twice.

import type { CallContext, RpcRegistry, RpcStream } from '../fabric/mod.ts'
import type { Authority } from '../functions/mod.ts'
import type { NodeCapabilities } from './capabilities.ts'
import { writeListing } from './listing.ts'
import { METHODS, readInvoke, readList, readWatch } from './messages.ts'
import type { ValueCodec } from './messages.ts'
import type { OpenWatch, Watches } from './watches.ts'

export interface RmoServiceOptions { readonly registry: RpcRegistry; readonly capabilities: NodeCapabilities; readonly watches: Watches; readonly codec: ValueCodec }

const isRelay = ({ caller }: CallContext): boolean => caller.via === 'socket'

/** What a call's context says of its caller; its deadline is a method of the context itself. */
const authorityOf = (context: CallContext): Authority => ({ principal: context.principal, trace: context.trace, hop: context.hop, signal: context.signal, remainingMs: () => context.remainingMs() })

/** Writes events until the watch, the reader, or the call ends. */
async function serve({ events, stop }: OpenWatch, context: CallContext, stream: RpcStream): Promise<null> {
  if (context.signal.aborted) stop()
  context.signal.addEventListener('abort', stop, { once: true })
  // The watcher writes nothing: its end, or its loss, is the end of the watch.
  void stream.read().then(stop, stop)
  try {
    for (let event = await events.next(); event !== undefined; event = await events.next()) await stream.write(event)
    stream.end()
    return null
  } finally {
    context.signal.removeEventListener('abort', stop)
    stop()
  }
}

export function registerRmo({ registry, capabilities, watches, codec }: RmoServiceOptions): void {
  registry.method(METHODS.invoke, (body, context) => {
    const { kind, uuid, home, verb, args, operation, code } = readInvoke(body)
    const target = { kind, uuid, home }
    // Which program asks is a member's word; a shell runs none.
    const asks = isRelay(context) ? undefined : code
    const authority = operation === undefined ? context : { ...authorityOf(context), operation, ...(asks === undefined ? {} : { code: asks }) }
    return isRelay(context)
      ? capabilities.invokeEncoded(target, verb, args, authority)
      : capabilities.invokeHere(target, verb, args, authority)
  })
  registry.stream(METHODS.list, async (body, context, stream) => {
    const { kind, withAttributes } = readList(body)
    const listing = isRelay(context)
      ? await capabilities.list(kind, { withAttributes }, context)
      : { references: await capabilities.shownHere(kind, context), failures: [] }
    return writeListing(kind, listing, stream, { codec, withAttributes })
  })
  registry.stream(METHODS.watch, async (body, context, stream) => {
    const { kind, uuid, home, options } = readWatch(body)
    const target = { kind, uuid, home }
    return serve(await (isRelay(context) ? watches.anywhere(target, options, context) : watches.here(target, options, context)), context, stream)
  })
}
