// Public names of fabric/.
export type { Member, Membership, MembershipEvent, MemberState } from './membership/contract.ts'
export type { CallContext, CallOptions, CallParent, Caller, ClientStream, RpcPeer, RpcRegistry, RpcStream } from './rpc/contract.ts'
