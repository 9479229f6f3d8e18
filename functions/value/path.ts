// Paths in messages: ['a', 3, 'f'] under root `result` is `result.a[3].f`.

const IDENTIFIER = /^[A-Za-z_$#][\w$]*$/
const KEY_CHARS_MAX = 60

export type PathKey = string | number | symbol

/** A level of the walk that has no name of its own. */
export const UNNAMED = Symbol('unnamed')

export function formatPath(root: string, keys: readonly PathKey[]): string {
  let text = root
  for (const key of keys) {
    if (key === UNNAMED) continue
    if (typeof key === 'number') text += `[${key}]`
    else if (typeof key === 'symbol') text += `[${String(key)}]`
    else if (key.startsWith('<')) text += key
    else if (IDENTIFIER.test(key)) text += `.${key}`
    else text += `[${JSON.stringify(key.length > KEY_CHARS_MAX ? `${key.slice(0, KEY_CHARS_MAX)}...` : key)}]`
  }
  return text
}
