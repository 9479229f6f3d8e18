// Nodes that were cut off: whom a member speaks with no more, and which certificates count no more. Pure, but for the list
// that stands behind it, which whoever knows (kali/trust, by the records of the store) replaces as a whole.
//
// Certificates carry no dates, so those that a revoked node signed before cannot be told from those it signs afterwards. The
// record of a revocation therefore lists the members of that moment (`kept`): a chain that leads through a revoked node
// counts only if the next node in it is one of them. A founder may hold the fabric's own key, so once it is
// revoked no chain that begins with anybody else counts either: what it could still mint, nobody takes.
//
//   fabric -> founder -> R (revoked) -> A (kept) -> B      counts: A is a member of before, and R cannot sign for A
//                              R -> X (not kept)           does not: a ticket by another member brings X in, if it is honest
//
// Source: reliability.md 6 (13); DESIGN section 10.

import type { CodedError } from '../errors.ts'
import { FABRIC } from '../errors-table.ts'
import type { NodeId } from '../id.ts'
import { LIMITS } from '../limits.ts'
import type { Chain } from './certificate.ts'

export interface RevokedNode {
  readonly node: NodeId
  /** Principal that did it, and why: for people. */
  readonly by: string
  readonly reason: string
  /** Members at that moment: what the node had admitted until then still counts. */
  readonly kept: readonly NodeId[]
}

export interface Revocations {
  /** Why nobody speaks with `node`, if so. */
  refusal(node: NodeId): CodedError | undefined
  /** Why a chain does not count: its subject, or one that it leads through and that could have forged the rest. */
  refusalOf(chain: Chain): CodedError | undefined
  /** As refusalOf(), but what the subject signed itself counts: records of before outlive their signer. */
  forged(chain: Chain): boolean
  list(): readonly RevokedNode[]
}

export interface RevocationList extends Revocations {
  /** Takes the place of what was there; gives the nodes that were not in it before, and those that are not any more. */
  replace(list: readonly RevokedNode[]): { readonly added: readonly NodeId[]; readonly removed: readonly NodeId[] }
}

interface Entry { readonly record: RevokedNode; readonly kept: ReadonlySet<NodeId> }

/** `founder`: first subject of this node's own chain. */
export function createRevocations(founder: () => NodeId | undefined): RevocationList {
  let entries = new Map<NodeId, Entry>()
  const refusal = (node: NodeId): CodedError | undefined => {
    const entry = entries.get(node)
    return entry === undefined ? undefined : refusalBy(node, entry.record)
  }
  const broken = (chain: Chain): RevokedNode | undefined => {
    if (entries.size === 0) return undefined
    const first = founder()
    const root = first === undefined ? undefined : entries.get(first)
    if (root !== undefined && chain[0]?.subject !== first) return root.record
    for (const [index, { subject }] of chain.entries()) {
      const entry = entries.get(subject)
      const next = chain[index + 1]
      if (entry !== undefined && next !== undefined && !entry.kept.has(next.subject)) return entry.record
    }
    return undefined
  }
  return {
    refusal,
    refusalOf(chain) {
      const subject = chain.at(-1)?.subject
      if (subject === undefined) return undefined
      const own = refusal(subject)
      if (own !== undefined) return own
      const by = broken(chain)
      return by === undefined ? undefined : FABRIC.REVOKED_ADMISSION({ node: subject, admitter: by.node })
    },
    forged: (chain) => broken(chain) !== undefined,
    list: () => [...entries.values()].map(({ record }) => record),
    replace(list) {
      const before = entries
      entries = new Map(list.slice(0, LIMITS.trustRevokedNodesMax).map((record) => [record.node, { record, kept: new Set(record.kept) }]))
      return { added: [...entries.keys()].filter((node) => !before.has(node)), removed: [...before.keys()].filter((node) => !entries.has(node)) }
    },
  }
}

const refusalBy = (node: NodeId, { by, reason }: RevokedNode): CodedError => FABRIC.REVOKED({ node, by, reason })
