// Public names of functions/invoke.
export { createCallsClient } from './client.ts'
export type { CallsClient, CallsClientOptions } from './client.ts'
export { keysPrefix } from './idempotency.ts'
export { createInvoke } from './start.ts'
export type { Invoke, InvokeOptions as InvokePartOptions } from './start.ts'
export type { EmitOptions } from './put-calls.ts'
export { OUTCOME_GRACE_MS } from './wire.ts'
