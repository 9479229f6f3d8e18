// Tasks for plain piscina: a chunk mapped by a trivial function, and a spin. No sandbox.

export const map = (items) => items.map((x) => x + 1)

export function spin(rounds) {
  let x = 1
  for (let i = 0; i < rounds; i++) x = Math.imul(x, 1103515245) + 12345 | 0
  return x
}
