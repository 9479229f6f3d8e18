// Nodes' audit logs in memory with real signatures of one fabric, their checkpoints and witnesses, without any network.

import { seededRandom } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import { extendChain, foundChain } from '../../fabric/identity/certificate.ts'
import { keysFromSeed } from '../../fabric/identity/keys.ts'
import { createCertifiedSigner, createMemoryStore, SimClock } from '../../fabric/mod.ts'
import type { CertifiedSigner, LocalStore } from '../../fabric/mod.ts'
import { createCheckpointer } from '../../rmo/audit/checkpointer.ts'
import type { Checkpointer } from '../../rmo/audit/checkpointer.ts'
import type { AuditIntent } from '../../rmo/audit/contract.ts'
import { createAuditLog } from '../../rmo/audit/log.ts'
import type { NodeAuditLog } from '../../rmo/audit/log.ts'
import { createWitnessBook } from '../../rmo/audit/witness-book.ts'
import type { WitnessBook } from '../../rmo/audit/witness-book.ts'

export const intentOf = (n: number | string, over: Partial<AuditIntent> = {}): AuditIntent => ({ operation: `op-${n}`, trace: '0123456789abcdef', principal: 'user:alice', verb: 'start', acl: 'operate', object: 'VM/web1', name: 'web1', ...over })

/** One privileged act from begin to end. */
export async function act(log: NodeAuditLog, n: number | string, over: Partial<AuditIntent> = {}): Promise<void> {
  (await log.begin(intentOf(n, over)))({ outcome: 'done' })
}

export interface AuditNode {
  readonly name: string
  readonly id: string
  readonly signer: CertifiedSigner
  readonly store: LocalStore
  readonly log: NodeAuditLog
  readonly checkpoints: Checkpointer
  readonly witness: WitnessBook
  readonly warned: readonly string[]
  /** No message reaches it. */
  away: boolean
}
export interface AuditLab { readonly fabric: string; readonly clock: SimClock; readonly nodes: readonly AuditNode[]; node(n: number): AuditNode; /** The same node anew over the same disk. */ restart(n: number): AuditNode }

export function openAuditLab(count: number, { recordsMax }: { readonly recordsMax?: number } = {}): AuditLab {
  const random = seededRandom(11)
  const fabricKeys = keysFromSeed(random.bytes(32))
  const founder = keysFromSeed(random.bytes(32))
  const clock = new SimClock()
  const nodes: AuditNode[] = []
  const make = (name: string, signer: CertifiedSigner, store: LocalStore): AuditNode => {
    const warned: string[] = []
    const log = createAuditLog({ store, clock: clock as Clock, node: signer.node, signer, ...(recordsMax === undefined ? {} : { recordsMax }) })
    const witness = createWitnessBook({ store, verifier: signer })
    const checkpoints = createCheckpointer({
      log, store, signer, clock, warn: (message) => { warned.push(message) },
      members: () => nodes.map((node) => ({ id: node.id, name: node.name, state: node.away ? 'dead' as const : 'alive' as const })),
      async show(node, message) {
        const to = nodes.find(({ id }) => id === node)
        if (to === undefined || to.away) throw new Error('away')
        return to.witness.show(message)
      },
    })
    return { name, id: signer.node, signer, store, log, checkpoints, witness, warned, away: false }
  }
  for (let n = 0; n < count; n++) {
    const keys = n === 0 ? founder : keysFromSeed(random.bytes(32))
    const first = foundChain(fabricKeys, founder.id)
    const chain = n === 0 ? first : extendChain(fabricKeys.id, first, founder, keys.id)
    nodes.push(make(`n${n}`, createCertifiedSigner({ keys, fabric: () => ({ id: fabricKeys.id, chain }) }), createMemoryStore()))
  }
  const node = (n: number): AuditNode => {
    const found = nodes[n]
    if (found === undefined) throw new Error(`no node ${n}`)
    return found
  }
  return {
    fabric: fabricKeys.id, clock, nodes, node,
    restart(n) {
      const { name, signer, store } = node(n)
      return nodes[n] = make(name, signer, store)
    },
  }
}
