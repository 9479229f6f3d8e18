// defineFunction() outside of a sandbox: answers what it was given, frozen, so that a test can call `run` with a context of
// its own. Inside, sandbox/prelude/bundle.ts has another one that takes note of the definition.

import type { FunctionDefinition } from '../deployed.ts'

/** `C` is the context's type; cli/function-api.ts binds it. */
export function defineFunction<C, P, R>(definition: FunctionDefinition<C, P, R>): FunctionDefinition<C, P, R> {
  return Object.freeze({ ...definition })
}
