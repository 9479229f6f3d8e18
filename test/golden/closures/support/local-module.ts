// A module of the program: its exports travel by value.
export const shared = { base: 100 }
export const twice = (x: number): number => x * factor
const factor = 2
const thing = { label: 'local' }
export { thing as default }
