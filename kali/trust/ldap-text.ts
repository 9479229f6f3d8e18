// Texts of LDAP: escaping in filters (RFC 4515) and in distinguished names (RFC 4514), two different things, and reading a DN.
// Pure.

/** What a value must not say in a filter: the five of RFC 4515 section 3. Letters beyond ASCII stay as they are (UTF-8). */
export function escapeFilter(value: string): string {
  return value.replace(/[*()\\\0]/g, (char) => `\\${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

/** A value inside a DN (RFC 4514 section 2.4); NUL in hex, a space or # at its ends too. */
export function escapeDn(value: string): string {
  // One pass: a space that is first and last at once is escaped once.
  return value.replace(/["+,;<=>\\\0]|^[ #]| $/g, (char) => char === '\0' ? '\\00' : `\\${char}`)
}

/** One relative name: its attributes (lower case) with their values; more than one in "cn=a+ou=b". */
export type Rdn = readonly { readonly attribute: string; readonly value: string }[]

/** "cn=Ops\, Europe,dc=lab" -> its relative names, the nearest first. Undefined: not a DN; the empty DN is one of none. */
export function parseDn(dn: string): readonly Rdn[] | undefined {
  if (dn.trim() === '') return []
  const names: Rdn[] = []
  let at = 0
  for (;;) {
    const rdn: { attribute: string; value: string }[] = []
    for (;;) {
      const attribute = /^ *([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)*) *= */.exec(dn.slice(at))
      if (attribute === null) return undefined
      at += attribute[0].length
      const value = readValue(dn, at)
      if (value === undefined) return undefined
      rdn.push({ attribute: attribute[1]!.toLowerCase(), value: value.text })
      at = value.end
      if (dn[at] !== '+') break
      at++
    }
    names.push(rdn)
    if (at === dn.length) return names
    at++ // the comma: readValue ends at nothing else
  }
}

/** Reads up to an unescaped comma or plus. A value in hex ("#0403...") is none that we compare: not read. */
function readValue(dn: string, from: number): { readonly text: string; readonly end: number } | undefined {
  if (dn[from] === '#') return undefined
  const bytes: Buffer[] = []
  let at = from
  // Spaces before the separator are padding, unless escaped.
  let padding = 0
  while (at < dn.length && dn[at] !== ',' && dn[at] !== '+') {
    const char = dn[at]!
    if (char === '\\') {
      const hex = /^[0-9a-fA-F]{2}/.exec(dn.slice(at + 1, at + 3))
      const next = dn[at + 1]
      if (hex === null && (next === undefined || !/[ "#+,;<=>\\]/.test(next))) return undefined
      bytes.push(hex === null ? Buffer.from(next!) : Buffer.from(hex[0], 'hex'))
      at += hex === null ? 2 : 3
      padding = 0
      continue
    }
    if (/["<>;\0]/.test(char)) return undefined
    const point = String.fromCodePoint(dn.codePointAt(at)!)
    bytes.push(Buffer.from(point))
    padding = char === ' ' ? padding + 1 : 0
    at += point.length
  }
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(bytes.slice(0, bytes.length - padding))), end: at }
  } catch {
    return undefined
  }
}

/** Compares as caseIgnoreMatch does, near enough for what stands in a DN of groups: case and runs of spaces do not count. */
const sameRdn = (a: Rdn, b: Rdn): boolean => a.length === b.length && a.every(({ attribute, value }) => b.some((other) => other.attribute === attribute && folded(other.value) === folded(value)))
const folded = (value: string): string => value.normalize('NFC').toLowerCase().trim().replace(/ +/g, ' ')

/** Whether `dn` stands below `base` (not at it). */
export function isBelow(dn: readonly Rdn[], base: readonly Rdn[]): boolean {
  const above = dn.length - base.length
  return above > 0 && base.every((rdn, at) => sameRdn(rdn, dn[above + at]!))
}
