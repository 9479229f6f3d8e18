// Task for the plain piscina that test/bench/sandbox.ts compares itself with: the same spin, no sandbox.

export default function spin(rounds) {
  let x = 1
  for (let i = 0; i < rounds; i++) x = Math.imul(x, 1103515245) + 12345 | 0
  return x
}
