// Entries of a store in order of their keys' UTF-8 bytes. Pure, in memory.
//
// A map for the lookup and a sorted array for ranges: an insert moves part of the array (a memmove of 8 bytes a key), which
// at the sizes a global store has costs less than a tree's pointers.

import type { StoreEntry } from './contract.ts'

const SURROGATES_FROM = 0xd800
/** Order of code points, which is that of UTF-8 bytes: surrogates stand above the rest of the basic plane. */
const rank = (unit: number): number => unit >= 0xe000 ? unit - 0x800 : unit >= SURROGATES_FROM ? unit + 0x2000 : unit

/** Negative, 0 or positive, as the UTF-8 of `a` stands to that of `b`. */
export function compareKeys(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length)
  for (let at = 0; at < shorter; at++) {
    const left = a.charCodeAt(at), right = b.charCodeAt(at)
    if (left !== right) return rank(left) - rank(right)
  }
  return a.length - b.length
}

export class EntryTable {
  readonly #entries = new Map<string, StoreEntry>()
  #keys: string[] = []

  get size(): number { return this.#entries.size }
  get(key: string): StoreEntry | undefined { return this.#entries.get(key) }

  set(entry: StoreEntry): void {
    if (!this.#entries.has(entry.key)) this.#keys.splice(this.#from(entry.key), 0, entry.key)
    this.#entries.set(entry.key, entry)
  }

  delete(key: string): void {
    if (this.#entries.delete(key)) this.#keys.splice(this.#from(key), 1)
  }

  /** In any order, once, into an empty table. */
  load(entries: readonly StoreEntry[]): void {
    for (const entry of entries) this.#entries.set(entry.key, entry)
    this.#keys = [...this.#entries.keys()].sort(compareKeys)
  }

  /** Entries under `prefix`, after the key `after` when given; at most `limit`, and whether there are more. */
  range(prefix: string, options: { readonly limit: number; readonly after: string | undefined }): { readonly entries: readonly StoreEntry[]; readonly more: boolean } {
    const entries: StoreEntry[] = []
    let at = this.#from(prefix)
    if (options.after !== undefined && compareKeys(options.after, prefix) >= 0) {
      at = this.#from(options.after)
      if (this.#keys[at] === options.after) at++
    }
    for (let key = this.#keys[at]; key !== undefined && key.startsWith(prefix); key = this.#keys[++at]) {
      if (entries.length === options.limit) return { entries, more: true }
      const entry = this.#entries.get(key)
      if (entry !== undefined) entries.push(entry)
    }
    return { entries, more: false }
  }

  count(prefix: string): number {
    if (prefix === '') return this.size
    const from = this.#from(prefix)
    let at = from
    while (this.#keys[at]?.startsWith(prefix) === true) at++
    return at - from
  }

  /** Where `key` stands, or would. */
  #from(key: string): number {
    let low = 0, high = this.#keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareKeys(this.#keys[middle] ?? '', key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}
