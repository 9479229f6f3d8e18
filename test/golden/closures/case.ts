// Shape of a golden case: a closure as users write it, what it is called with, and what must come back from a
// realm that shares nothing with this one, or the exact error. The runner is ../closures.test.ts.

import type { CaptureOptions } from '../../../functions/capture/mod.ts'

export type AnyFunction = (...args: never[]) => unknown

export interface GoldenCase {
  readonly name: string
  /** Makes the closure anew. */
  readonly make: () => AnyFunction
  /** Argument lists, one call each, in order; default: one call without arguments. */
  readonly calls?: readonly (readonly unknown[])[]
  /** What the calls must give; default: what the same calls give here. */
  readonly want?: readonly unknown[]
  /** Error code without FUNCTIONS_ERR_. */
  readonly error?: string
  /** The message must start with this path. */
  readonly path?: string
  readonly options?: CaptureOptions
}
