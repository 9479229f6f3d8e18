// Readers of plain data that others wrote: each takes a value and its path, and answers it typed or says what is wrong.
// For records of the global store, which any member can write: nothing unknown, too long or too many gets through.

/** Throws ShapeError. */
export type Reader<T> = (value: unknown, path: string) => T

/** Never leaves this folder: whoever reads makes a coded error of it. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError'
}

const wrong = (path: string, expected: string): never => { throw new ShapeError(`${path} is not ${expected}`) }

export const text = ({ like, charsMax }: { readonly like?: RegExp; readonly charsMax: number }): Reader<string> => (value, path) =>
  typeof value === 'string' && value.length <= charsMax && like?.test(value) !== false ? value : wrong(path, `a text of the expected form, at most ${charsMax} characters`)

export const integer = (min: number, max: number): Reader<number> => (value, path) =>
  Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max ? value as number : wrong(path, `a whole number from ${min} to ${max}`)

export const flag: Reader<boolean> = (value, path) => (typeof value === 'boolean' ? value : wrong(path, 'true or false'))

export const oneOf = <const V extends readonly string[]>(...values: V): Reader<V[number]> => (value, path) =>
  typeof value === 'string' && values.includes(value) ? value : wrong(path, `one of ${values.join(', ')}`)

export const either = <A, B>(a: Reader<A>, b: Reader<B>): Reader<A | B> => (value, path) => {
  try { return a(value, path) } catch { return b(value, path) }
}

export const list = <T>(of: Reader<T>, countMax: number): Reader<readonly T[]> => (value, path) =>
  Array.isArray(value) && value.length <= countMax ? value.map((item, index) => of(item, `${path}[${index}]`)) : wrong(path, `a list of at most ${countMax}`)

const fieldsOf = (value: unknown, path: string): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Record<string, unknown> : wrong(path, 'an object')

/** Keys of the caller's choice; a key named __proto__ stays a key. */
export const table = <T>(key: RegExp, of: Reader<T>, countMax: number): Reader<Readonly<Record<string, T>>> => (value, path) => {
  const entries = Object.entries(fieldsOf(value, path))
  if (entries.length > countMax) wrong(path, `a table of at most ${countMax}`)
  return Object.fromEntries(entries.map(([name, item]) => [key.test(name) ? name : wrong(`${path}.${name.slice(0, 40)}`, 'a known key'), of(item, `${path}.${name}`)]))
}

type Shape<T> = { readonly [K in keyof T]-?: Reader<Exclude<T[K], undefined>> }

/** Exactly these fields; those in `optional` may be absent. */
export const object = <T extends object>(shape: Shape<T>, optional: readonly (keyof T & string)[] = []): Reader<T> => (value, path) => {
  const fields = fieldsOf(value, path)
  for (const name of Object.keys(fields)) if (!Object.hasOwn(shape, name)) wrong(`${path}.${name.slice(0, 40)}`, 'a known field')
  const out: Record<string, unknown> = {}
  for (const [name, reader] of Object.entries<Reader<unknown>>(shape)) {
    if (Object.hasOwn(fields, name)) out[name] = reader(fields[name], `${path}.${name}`)
    else if (!(optional as readonly string[]).includes(name)) wrong(`${path}.${name}`, 'there')
  }
  return out as T
}
