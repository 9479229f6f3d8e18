// Public names of kali/: a node, and the data center as a program holds it.
export { connect } from './connect.ts'
export type * from './contract.ts'
export { dataDir, socketPath } from './data-dir.ts'
export { startNode } from './start.ts'
