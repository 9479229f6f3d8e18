// Third door of fabric/, beside mod.ts and base.ts: a program's connection to the node of its machine. Loads no store, no
// keys and no network between nodes: every `kumoi` on a command line waits for what is loaded here.

export { makeDataDirectory } from './data-directory.ts'
export { createRpcPeer } from './rpc/peer.ts'
export { createRegistry } from './rpc/registry.ts'
export { connectLocal } from './transport/local.ts'
