// Values of OVSDB as RFC 7047 section 5.1 writes them in JSON, and as we hold them.
//
//   atom            string | number | boolean | ["uuid", "..."]        a uuid is held as its string
//   set             atom, or ["set", [atom, ...]]                      held as an array
//   map             ["map", [[atom, atom], ...]]                       held as a record of strings
//
// A set of one element may stand as the bare atom, so what a column is comes from the reader, never from the value.
// Readers are lenient: a value of another shape reads as empty, as a column that an older schema lacks would. Pure.

export type Atom = string | number | boolean
export type OvsdbAtom = Atom | readonly ['uuid' | 'named-uuid', string]
export type OvsdbValue = OvsdbAtom | readonly ['set', readonly OvsdbAtom[]] | readonly ['map', readonly (readonly [OvsdbAtom, OvsdbAtom])[]]
/** A row as it came: column to value. */
export type Row = Readonly<Record<string, unknown>>

const isAtom = (value: unknown): value is Atom => typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'

function atomOf(value: unknown): Atom | undefined {
  if (isAtom(value)) return value
  return Array.isArray(value) && value.length === 2 && (value[0] === 'uuid' || value[0] === 'named-uuid') && typeof value[1] === 'string' ? value[1] : undefined
}

/** Atoms of a set; a bare atom is a set of one. */
export function readSet(value: unknown): readonly Atom[] {
  if (Array.isArray(value) && value[0] === 'set' && Array.isArray(value[1])) {
    return value[1].map(atomOf).filter((atom) => atom !== undefined)
  }
  const atom = atomOf(value)
  return atom === undefined ? [] : [atom]
}

export function readMap(value: unknown): Readonly<Record<string, string>> {
  const pairs: [string, string][] = []
  if (Array.isArray(value) && value[0] === 'map' && Array.isArray(value[1])) {
    for (const pair of value[1]) {
      if (!Array.isArray(pair)) continue
      const [key, item] = [atomOf(pair[0]), atomOf(pair[1])]
      if (key !== undefined && item !== undefined) pairs.push([String(key), String(item)])
    }
  }
  return Object.fromEntries(pairs)
}

/** The string of an optional column; "" when it is empty. */
export const readText = (value: unknown): string => {
  const [first] = readSet(value)
  return typeof first === 'string' ? first : ''
}
/** The number of an optional column; undefined when it is empty. */
export const readNumber = (value: unknown): number | undefined => {
  const [first] = readSet(value)
  return typeof first === 'number' ? first : undefined
}
export const readTexts = (value: unknown): readonly string[] => readSet(value).filter((atom) => typeof atom === 'string')
export const readNumbers = (value: unknown): readonly number[] => readSet(value).filter((atom) => typeof atom === 'number')

export const uuidValue = (uuid: string): OvsdbValue => ['uuid', uuid]
/** A row inserted in the same transaction, by the name it was given there. */
export const namedUuid = (name: string): OvsdbAtom => ['named-uuid', name]
export const setValue = (atoms: readonly OvsdbAtom[]): OvsdbValue => ['set', atoms]
export const mapValue = (entries: Readonly<Record<string, string>>): OvsdbValue => ['map', Object.entries(entries)]
