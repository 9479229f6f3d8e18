// Effects that a function began and did not wait for (`emit('hot', names)` without await): its element ends when they have, and
// fails with a failure that nobody was told of; the same rule as for assignments (assignments.ts).

import { endOf as endOfAssignments } from './assignments.ts'

interface Effect { readonly element: number; readonly promise: Promise<unknown>; told: boolean }

let effects: Effect[] = []

type Done = (value: unknown) => unknown
type Failed = (error: unknown) => unknown

/** As a promise to whoever awaits it; a native one would not tell that it is awaited. */
class Awaitable {
  readonly #effect: Effect
  constructor(effect: Effect) { this.#effect = effect }
  then(done?: Done, failed?: Failed): Promise<unknown> {
    this.#effect.told = true
    return this.#effect.promise.then(done, failed)
  }

  catch(failed: Failed): Promise<unknown> { return this.then(undefined, failed) }
  finally(ended: () => void): Promise<unknown> {
    this.#effect.told = true
    return this.#effect.promise.finally(ended)
  }
}

/** Notes an effect of an element (-1: not known, waited for by the next to end). */
export function effectOf(element: number, promise: Promise<unknown>): PromiseLike<unknown> {
  const effect: Effect = { element, promise, told: false }
  effects[effects.length] = effect
  // A failure waits for the element's end.
  promise.then(() => { if (effect.element !== -1 || effect.told) drop(effect) }, () => { if (effect.told) drop(effect) })
  return new Awaitable(effect) as PromiseLike<unknown>
}

function drop(effect: Effect): void {
  for (let i = 0; i < effects.length; i++) {
    if (effects[i] !== effect) continue
    for (let k = i + 1; k < effects.length; k++) effects[k - 1] = effects[k] as Effect
    effects.length--
    return
  }
}

/** Undefined: nothing of the element is outstanding. */
export function endOf(element: number): Promise<void> | undefined {
  const assignments = endOfAssignments(element)
  if (effects.length === 0) return assignments
  return ended(element, assignments)
}

async function ended(element: number, assignments: Promise<void> | undefined): Promise<void> {
  await assignments
  for (let i = 0; i < effects.length;) {
    const effect = effects[i] as Effect
    if (effect.element !== element && effect.element !== -1) { i++; continue }
    try {
      await effect.promise
    } catch (error) {
      if (!effect.told) throw error
    } finally {
      drop(effect)
    }
    i = 0
  }
}

/** The job is over. */
export function forgetPending(): void { if (effects.length > 0) effects = [] }
