// Puts the parts of invoke/ together on a node: what runs here, where calls go, keys, asynchronous calls, and the
// methods that others call.

import type { Admit } from '../administrator.ts'
import type { ErrorRecord } from '../../fabric/base.ts'
import type { GlobalStore, RpcRegistry } from '../../fabric/mod.ts'
import type { Admission } from '../admission.ts'
import type { Sandbox } from '../contract.ts'
import type { HostCalls } from '../plan/host-calls.ts'
import type { InvokeSurroundings } from './contract.ts'
import { AsyncCalls } from './async-calls.ts'
import { Idempotency } from './idempotency.ts'
import { NodeInvoker } from './invoker.ts'
import { Letters } from './letters.ts'
import { registerNested } from './nested.ts'
import { Runner } from './run-here.ts'
import { registerInvoke } from './service.ts'

export interface InvokeOptions extends InvokeSurroundings {
  readonly registry: RpcRegistry
  readonly store: GlobalStore
  readonly sandbox: Sandbox
  /** Cores of this node. */
  readonly lanes: number
  /** Answers the calls of running functions; gets 'fn.invoke' and 'fn.enqueue' from here. */
  readonly hostCalls: HostCalls
  /** Functions that hear a topic when `deployer` says it (functions/trigger). */
  subscribers(topic: string, deployer: string): readonly string[]
  originalStack?(stack: string, sourceMap: string): string
  /** Who may redrive and discard calls; default: the administrator of the machine alone. */
  readonly admit?: Admit
  /** What this node refuses to run; default: nothing. */
  readonly admission?: Admission
  /** Whether somebody's functions run no more; default: nobody's. */
  readonly cutOff?: (principal: string) => boolean
  /** Takes secrets out of what functions throw. */
  redact?(error: ErrorRecord): ErrorRecord
}

export interface Invoke {
  readonly invoker: NodeInvoker
  readonly runner: Runner
  readonly asyncCalls: AsyncCalls
  readonly letters: Letters
  /** Begins to carry out asynchronous calls. */
  start(): void
  stop(): Promise<void>
}

export function createInvoke(options: InvokeOptions): Invoke {
  const { store, clock, nodes } = options
  const runner = new Runner(options)
  const idempotency = new Idempotency({ ...options, alive: (node) => nodes().some(({ id }) => id === node) })
  const asyncCalls: AsyncCalls = new AsyncCalls({ ...options, idempotency, attempt: (request, authority, attempt) => invoker.attempt(request, authority, attempt) })
  const invoker: NodeInvoker = new NodeInvoker({ ...options, runner, idempotency, asyncCalls })
  const letters = new Letters({ store, clock })
  registerInvoke({ registry: options.registry, invoker, runner, asyncCalls, letters, ...(options.admit === undefined ? {} : { admit: options.admit }) })
  registerNested(options.hostCalls, invoker, options.holders)
  return { invoker, runner, asyncCalls, letters, start: () => asyncCalls.start(), stop: () => asyncCalls.stop() }
}
