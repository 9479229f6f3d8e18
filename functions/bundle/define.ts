// defineFunction() outside of a sandbox: answers what it was given, frozen, so that a test can call `run` with a context of
// its own. Inside, sandbox/prelude/bundle.ts has another one that takes note of the definition.

import type { FunctionDefinition } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'

/** `C` is the context's type; cli/function-api.ts binds it. */
export function defineFunction<C, P, R>(definition: FunctionDefinition<C, P, R>): FunctionDefinition<C, P, R> {
  return Object.freeze({ ...definition })
}

/** Stands for what only a sandbox has, so that a function's file can be loaded anywhere. Throws ONLY_INSIDE when it is called. */
export const onlyInside = (name: string) => (): never => { throw FUNCTIONS.ONLY_INSIDE({ name }) }
