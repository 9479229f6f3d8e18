// The founder's store as methods for the other members (messages.ts has their shapes). Members only: a shell has no raw
// access, it would go past the checks and signatures of everything that is kept there. A message names the era of the store
// that it means (place.ts): a node may still have an earlier one, which tells who asks that it has moved.

import { FABRIC } from '../errors-table.ts'
import type { CallContext, Handler, RpcRegistry } from '../rpc/contract.ts'
import type { StoreCallOptions } from './contract.ts'
import type { StoreEngine } from './engine.ts'
import { orNull, readTransaction, STORE_METHODS, writeAnswer, writeBatch, writeEntry, writeRange } from './messages.ts'
import { array, count, text } from './rows.ts'

export interface StoreServiceOptions {
  readonly registry: RpcRegistry
  /** The store of that era, when this node has it. */
  readonly engine: (era: number) => Promise<StoreEngine | undefined>
}

export function serveStore({ registry, engine: engineOf }: StoreServiceOptions): void {
  const opened = async (era: number): Promise<StoreEngine> => {
    const engine = await engineOf(era)
    if (engine === undefined) throw FABRIC.STORE_UNREACHABLE({ store: 'embedded', reason: 'the node that was asked does not have it' }, { outcome: 'not-started' })
    return engine
  }
  const method = (name: string, call: (engine: StoreEngine, body: readonly unknown[], options: StoreCallOptions) => Promise<unknown>): void => {
    const handler: Handler = async (message, context) => {
      const options = optionsOf(name, context)
      const [era, ...body] = array(message)
      return await call(await opened(count(era)), body, options)
    }
    registry.method(name, handler)
  }
  method(STORE_METHODS.get, async (engine, body, options) => writeEntry(await engine.get(text(array(body, 1)[0]), options)))
  method(STORE_METHODS.range, async (engine, body, options) => {
    const [prefix, limit, after] = array(body, 3)
    const from = orNull(text)(after)
    return writeRange(await engine.range(text(prefix), { limit: count(limit), ...(from === undefined ? {} : { after: from }), ...options }))
  })
  method(STORE_METHODS.transact, async (engine, body, options) => writeAnswer(await engine.transact(readTransaction(body), options)))
  method(STORE_METHODS.grant, async (engine, body, options) => {
    const [lease, lifetimeMs] = array(body, 2)
    await engine.adopt(text(lease), count(lifetimeMs), options)
    return null
  })
  method(STORE_METHODS.keepAlive, (engine, body, options) => engine.keepAlive(text(array(body, 1)[0]), options))
  method(STORE_METHODS.revoke, async (engine, body, options) => {
    await engine.revoke(text(array(body, 1)[0]), options)
    return null
  })
  method(STORE_METHODS.lifetime, async (engine, body, options) => await engine.lifetimeMs(text(array(body, 1)[0]), options) ?? null)
  method(STORE_METHODS.revision, (engine, _body, options) => engine.revision(options))
  method(STORE_METHODS.count, (engine, body, options) => engine.count(text(array(body, 1)[0]), options))
  registry.stream(STORE_METHODS.watch, async (body, context, stream) => {
    const { signal } = optionsOf(STORE_METHODS.watch, context)
    const [era, prefix, after] = array(body, 3)
    const engine = await opened(count(era))
    const from = orNull(count)(after)
    for await (const batch of engine.watch(text(prefix), { signal, ...(from === undefined ? {} : { after: from }) })) await stream.write(writeBatch(batch))
    return null
  })
}

function optionsOf(method: string, { caller, signal }: CallContext): { readonly signal: AbortSignal } {
  if (caller.via !== 'link') throw FABRIC.STORE_MEMBERS_ONLY({ method })
  return { signal }
}
