// Access rules of the cloud's own objects, of machines and of VMs: they stand in the global store, so that they are the same on
// every node, and are a VM's wherever it is taken over. Those of all other objects stand in the ledger of their home, as do audit and
// account of all.
//
//   pool.acls(rules) -> ledger --global, VM, machine--> book: access/KIND/UUID --watch--> view of every node -> gate
//                              `--others-------------> the node's own ledger (and a copy of those of its machines and VMs)
//
// Invariants: what a user asks, and who may change one of the cloud's objects, is judged by rules that have been read: until
// then it waits, a while, and is refused. The administrator of a machine goes on without the store, by the ledger's copy.

import { LIMITS } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import { ACL_VERBS, canonicalText } from '../../../rmo/mod.ts'
import type { AccessPolicy, AclRule, Decision, KindRegistry, Ledger, ObjectKey, Policy } from '../../../rmo/mod.ts'
import type { CloudBook } from '../../cloud/parts.ts'
import type { NodeCloudView } from '../../cloud/view.ts'

export interface GlobalAccessOptions {
  readonly view: Pick<NodeCloudView, 'access' | 'ready' | 'until'>
  readonly book: Pick<CloudBook, 'setAccess'>
  readonly kinds: Pick<KindRegistry, 'kindOf'>
  readonly clock: Clock
}
export interface GlobalAccess {
  /** The node's ledger, with the rules of the cloud's objects where they belong. */
  ledger(own: Ledger): Ledger
  /** As ledger(), for the hosts: what they carry from machine to machine is the copy; what they remove is removed everywhere. */
  hostLedger(own: Ledger): Ledger & { dropRules(of: ObjectKey): Promise<void> }
  /** Rights that are not of an object: a user has none before the rules have been read. */
  may(judge: AccessPolicy['may']): AccessPolicy['may']
  /** Goes first: what must wait until the rules have been read. */
  policy(otherwise: Policy): Policy
}

/** Their rules are shared: a VM moves, and its machine may be lost with its ledger. */
const SHARED: ReadonlySet<string> = new Set(['VM', 'PhysicalMachine'])
/** Users are known by records of the store alone. */
const OF_USER = /(?:^|\/)user:/

const NO_RULES: readonly AclRule[] = Object.freeze([])
const NOT_READ: Decision = { allowed: false, reason: 'its access rules could not be read from the global store yet; ask again when "kumoi store status" answers' }

export function createGlobalAccess({ view, book, kinds, clock }: GlobalAccessOptions): GlobalAccess {
  let read = false
  void view.ready.then(() => { read = true })
  const isGlobal = (kind: string): boolean => kinds.kindOf(kind).residence === 'global'

  /** At most LIMITS.cloudSeenMs. */
  const whenRead = (): Promise<boolean> => new Promise((resolve) => {
    const timer = clock.after(LIMITS.cloudSeenMs, () => resolve(read), { background: true })
    void view.ready.then(() => {
      timer.cancel()
      resolve(true)
    })
  })

  return {
    hostLedger: (own) => ({
      ...own,
      async dropRules(of) {
        await own.setRules(of, [])
        // Left behind without the store: nobody finds it, uuids are used once.
        if (view.access(of.kind, of.uuid) !== undefined) await book.setAccess(of, undefined).catch(() => {})
      },
    }),
    ledger: (own) => ({
      ...own,
      rules(of) {
        if (SHARED.has(of.kind)) return view.access(of.kind, of.uuid)?.rules ?? own.rules(of)
        return isGlobal(of.kind) ? view.access(of.kind, of.uuid)?.rules ?? NO_RULES : own.rules(of)
      },
      async setRules(of, rules, was) {
        const shared = SHARED.has(of.kind)
        if (!shared && !isGlobal(of.kind)) return own.setRules(of, rules)
        // An empty list of a VM is written: a copy that an earlier home kept must not come back.
        // Without a record in the store a VM's or a machine's are those of its home, which has just compared them.
        const none = shared ? own.rules(of) : NO_RULES
        await view.until(await book.setAccess(of, rules.length === 0 && !shared ? undefined : rules, was === undefined ? undefined : (present) => canonicalText(present ?? none) === canonicalText(was)))
        if (shared) await own.setRules(of, rules)
      },
    }),
    may: (judge) => (principal, right) => (!read && OF_USER.test(principal) ? NOT_READ : judge(principal, right)),
    policy: (otherwise) => (request) => {
      if (read || !(OF_USER.test(request.principal) || (isGlobal(request.kind) && ACL_VERBS[request.acl].privileged))) return otherwise(request)
      return whenRead().then((known) => (known ? otherwise(request) : NOT_READ))
    },
  }
}
