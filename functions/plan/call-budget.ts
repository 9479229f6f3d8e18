// How many nested calls may still come of a call: what makes recursion end. Pure.
//
//   A call with budget b may cause at most b nested calls, their descendants included. A nested call takes one for itself
//   and is lent half of what is left; when it has ended, what it did not use comes back. One that nobody waits for (emit,
//   enqueue) takes one and is given the square root, for good. A nested run over n elements is one call; each of
//   its elements gets the n-th part of what the run was lent.
//
// So shares shrink at each level whatever the shape, a loop may make b calls one after the other, and siblings can never
// use more than their parent was given. Enforced by the kernel that answers the call (host-calls.ts).

/** 'lend': somebody waits for it, and gives back the rest. 'give': nobody does. */
export type GrantKind = 'lend' | 'give'

export interface Grant {
  /** Budget of the new call. */
  readonly share: number
  /** The new call has ended, having caused `used` further ones; not knowing counts as the whole share. Safe to call twice. */
  settle(used?: number): void
}

export class CallBudget {
  readonly #total: number
  #left: number

  constructor(total: number) {
    this.#total = Math.max(0, Math.floor(total))
    this.#left = this.#total
  }

  /** Calls caused so far; those under way count with all that they were lent. */
  get used(): number { return this.#total - this.#left }

  /** Undefined: used up. */
  take(kind: GrantKind): Grant | undefined {
    if (this.#left < 1) return undefined
    this.#left--
    const share = kind === 'lend' ? Math.floor(this.#left / 2) : Math.floor(Math.sqrt(this.#left))
    this.#left -= share
    let open = kind === 'lend'
    return {
      share,
      settle: (used = share) => {
        if (!open) return
        open = false
        this.#left += share - Math.min(share, Math.max(0, Math.ceil(used)))
      },
    }
  }
}
