// Access rules of the cloud's own objects: they stand in the global store, so that they are the same on every node. Those of
// all other objects stand in the ledger of their home, as do audit and account of all.
//
//   pool.acls(rules) -> ledger --residence 'global'--> book: access/KIND/UUID --watch--> view of every node -> gate
//                              `--others------------> the node's own ledger
//
// Invariant: who may change one of these objects is judged by rules that have been read. An object comes into the view with
// its rules; only the Global is there before, and until then a change of it waits, a while, and is refused.

import { LIMITS } from '../../../fabric/base.ts'
import type { Clock } from '../../../fabric/base.ts'
import { ACL_VERBS } from '../../../rmo/mod.ts'
import type { Decision, KindRegistry, Ledger, Policy } from '../../../rmo/mod.ts'
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
  /** Goes first: what must wait until the rules have been read. */
  policy(otherwise: Policy): Policy
}

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
    ledger: (own) => ({
      ...own,
      rules: (of) => (isGlobal(of.kind) ? view.access(of.kind, of.uuid)?.rules ?? [] : own.rules(of)),
      async setRules(of, rules) {
        if (!isGlobal(of.kind)) return own.setRules(of, rules)
        await view.until(await book.setAccess(of, rules))
      },
    }),
    policy: (otherwise) => (request) => {
      if (read || !isGlobal(request.kind) || !ACL_VERBS[request.acl].privileged) return otherwise(request)
      return whenRead().then((known) => (known ? otherwise(request) : NOT_READ))
    },
  }
}
