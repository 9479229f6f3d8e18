// How many nested calls may still come of a call: what makes recursion end. Pure.
//
//   A call with budget b may cause at most b nested calls, their descendants included. Each takes one for itself. One that is
//   waited for is lent a share of what is left (half, a third, a quarter ... as more run side by side), and when it has ended
//   what it did not use comes back; one that nobody waits for (emit, enqueue) is given the square root, for good. A nested
//   run over n elements is one call, and each of its elements gets the n-th part of what it was lent.
//
// So shares shrink at each level whatever the shape, a loop may make b calls one after the other, and siblings can never use
// more than their parent was given. When all is lent, the next one waits for some to come back: those that it waits for never
// wait for it. Enforced by the kernel that answers the call (host-calls.ts).

/** 'lend': somebody waits for it, and gives back the rest. 'give': nobody does. */
export type GrantKind = 'lend' | 'give'

export interface Grant {
  /** Budget of the new call. */
  readonly share: number
  /** The new call has ended, having caused `used` further ones; not knowing counts as the whole share. Safe to call twice. */
  settle(used?: number): void
}

interface Waiter { readonly kind: GrantKind; readonly done: (grant: Grant | undefined) => void }

export class CallBudget {
  readonly #total: number
  #left: number
  #lent = 0
  #waiting: Waiter[] = []

  constructor(total: number) {
    this.#total = Math.max(0, Math.floor(total))
    this.#left = this.#total
  }

  /** Calls caused so far; those under way count with all that they were lent. */
  get used(): number { return this.#total - this.#left }

  /** Undefined: used up, and nothing will come back. Rejects with the signal's reason. */
  take(kind: GrantKind, signal: AbortSignal): Promise<Grant | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0 && this.#left >= 1) return resolve(this.#grant(kind))
      if (this.#lent === 0) return resolve(undefined)
      if (signal.aborted) return reject(signal.reason)
      const aborted = (): void => {
        this.#waiting = this.#waiting.filter((each) => each !== waiter)
        reject(signal.reason)
      }
      const waiter: Waiter = { kind, done: (grant) => { signal.removeEventListener('abort', aborted); resolve(grant) } }
      signal.addEventListener('abort', aborted, { once: true })
      this.#waiting.push(waiter)
    })
  }

  #grant(kind: GrantKind): Grant {
    this.#left--
    const share = kind === 'lend' ? Math.floor(this.#left / (2 + this.#lent)) : Math.floor(Math.sqrt(this.#left))
    this.#left -= share
    if (kind === 'give') return { share, settle: () => {} }
    this.#lent++
    let open = true
    return {
      share,
      settle: (used = share) => {
        if (!open) return
        open = false
        this.#lent--
        this.#left += share - Math.min(share, Math.max(0, Math.ceil(used)))
        this.#admit()
      },
    }
  }

  #admit(): void {
    while (this.#waiting.length > 0 && (this.#left >= 1 || this.#lent === 0)) {
      const { kind, done } = this.#waiting.shift()!
      done(this.#left >= 1 ? this.#grant(kind) : undefined)
    }
  }
}
