// Public names of fabric/ (with I/O; fabric/base.ts is the door for pure cores and sandbox threads).

export { CodedError, defineErrors, errorCode, fromErrorRecord, isNodeId, LIMITS, shortId, systemClock, systemRandom, toErrorRecord, uuidOfNode } from './base.ts'
export type { Clock, ErrorRecord, Hash, NodeId, Random } from './base.ts'
export type { BlobStore } from './blob/store.ts'
export type { Log } from './log.ts'
export type { Member, Membership, MembershipEvent, MemberState } from './membership/contract.ts'
export { startFabricNode } from './start.ts'
export type { FabricNode, FabricNodeOptions, NodeInfo } from './node.ts'
export type { CallContext, CallOptions, CallParent, Caller, ClientStream, RpcPeer, RpcRegistry, RpcStream } from './rpc/contract.ts'
export { createRpcPeer } from './rpc/peer.ts'
export { createRegistry } from './rpc/registry.ts'
export { connectLocal } from './transport/local.ts'
export { VERSION } from './version.ts'
