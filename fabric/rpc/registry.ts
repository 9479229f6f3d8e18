// Methods, stream methods and events of a node, by name; one registry serves all its connections.

import { assert } from '../assert.ts'
import type { AnyHandler, Caller, Body, Handler, RpcRegistry, StreamHandler } from './contract.ts'
import { IdempotencyWindow } from './idempotency.ts'

export type Method = { readonly shape: 'call'; readonly handler: Handler } | { readonly shape: 'stream'; readonly handler: StreamHandler }
export type EventHandler = (body: Body, caller: Caller) => void

export interface RegistryOptions {
  /** Told of event handlers that threw (their senders await nothing). */
  readonly onFault?: (event: string, error: unknown) => void
}

export class Registry implements RpcRegistry {
  readonly #methods = new Map<string, Method>()
  readonly #events = new Map<string, EventHandler>()
  readonly #onFault: (event: string, error: unknown) => void
  readonly idempotency = new IdempotencyWindow()

  constructor(options: RegistryOptions = {}) { this.#onFault = options.onFault ?? (() => undefined) }

  method(name: string, handler: Handler): void { this.#add(name, { shape: 'call', handler }) }
  stream(name: string, handler: StreamHandler): void { this.#add(name, { shape: 'stream', handler }) }
  event(name: string, handler: EventHandler): void {
    assert(!this.#events.has(name), `event "${name}" is registered once`)
    this.#events.set(name, handler)
  }

  around(name: string, wrap: (inner: AnyHandler) => AnyHandler): boolean {
    const method = this.#methods.get(name)
    if (method === undefined) return false
    if (method.shape === 'call') {
      const { handler } = method
      const outer = wrap((body, context) => handler(body, context))
      this.#methods.set(name, { shape: 'call', handler: (body, context) => outer(body, context, undefined) })
    } else {
      const { handler } = method
      const outer = wrap(async (body, context, stream) => {
        assert(stream !== undefined, `the stream of "${name}" is handed on`)
        return handler(body, context, stream)
      })
      this.#methods.set(name, { shape: 'stream', handler: async (body, context, stream) => outer(body, context, stream) })
    }
    return true
  }

  find(name: string): Method | undefined { return this.#methods.get(name) }

  /** Runs an event's handler; unknown events are dropped (a later version's). */
  fire(name: string, body: Body, caller: Caller): void {
    const handler = this.#events.get(name)
    if (handler === undefined) return
    try {
      handler(body, caller)
    } catch (error) {
      this.#onFault(name, error)
    }
  }

  #add(name: string, method: Method): void {
    assert(!this.#methods.has(name), `method "${name}" is registered once`)
    this.#methods.set(name, method)
  }
}

export const createRegistry = (options?: RegistryOptions): RpcRegistry => new Registry(options)
