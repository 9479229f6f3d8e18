// Public names of fabric/.
export type { Member, Membership, MembershipEvent, MemberState } from './membership/contract.ts'
