// What a virtual isolate asks for, as text: read once and known again, because the same hundred calls come every tick.

import type { HostCall } from '../contract.ts'

export type CallName = Pick<HostCall, 'target' | 'verb'> & { /** Element that may have made it, when that is not certain; -1: none. */ readonly waiting: number }

const CALL_TEXTS_MAX = 65_536

export class CallNames {
  readonly #names = new Map<string, CallName>()

  of(words: string): CallName {
    const present = this.#names.get(words)
    if (present !== undefined) return present
    const [verb = '', kind, uuid = '', home = ''] = JSON.parse(words) as [string, (string | number)?, string?, string?]
    const name: CallName = { target: typeof kind === 'string' ? { kind, uuid, home } : undefined, verb, waiting: typeof kind === 'number' ? kind : -1 }
    if (this.#names.size >= CALL_TEXTS_MAX) this.#names.clear()
    this.#names.set(words, name)
    return name
  }
}

/** Lines "number element text" of calls without arguments (virtual-realm.ts); `element` -1: none. */
export function eachCall(lines: string, call: (number: number, element: number, words: string) => void): void {
  for (let at = 0; at < lines.length;) {
    const number = lines.indexOf(' ', at), element = lines.indexOf(' ', number + 1), end = lines.indexOf('\n', element)
    call(Number(lines.slice(at, number)), Number(lines.slice(number + 1, element)) - 1, lines.slice(element + 1, end))
    at = end + 1
  }
}
