// A module with state of its own, written by an exported function.
let sum = 0
export const total = (x: number): number => (sum += x)
