// Public names of functions/.
export { COLLECTION, REFERENCE } from './contract.ts'
export type * from './contract.ts'
export type { Collection, CollectionOptions, Landed, Progress } from './collection/contract.ts'
