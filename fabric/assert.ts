// Checks of our own invariants: always on, never for input (input gets a coded error).

/** Throws when one of our own invariants does not hold; the part that threw is broken, not the caller. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${invariant}`)
}
