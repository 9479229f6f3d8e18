// Puts trust together on a node, in two steps, as deployed.ts does: the view stands before the gate, which asks it at each
// call; who may come through the local doors comes after, since administrators' methods ask the gate.
//
//   global store, local copy -> view, book ... gate -> logins, sessions -> trust.* methods -> doors
//
// Stopped in reverse; sessions end with their connections.

import { LIMITS, systemClock, systemRandom } from '../fabric/base.ts'
import type { CallContext, FabricNode, FabricStore, LocalStore, OpenDoorsOptions } from '../fabric/mod.ts'
import { createSecrets } from '../functions/mod.ts'
import type { AuditLog } from '../rmo/mod.ts'
import { localPrincipal } from './data-dir.ts'
import { LDAP_SECRET, serveTrustAdmin } from './trust/admin-service.ts'
import { createTrustBook } from './trust/book.ts'
import type { TrustBook } from './trust/book.ts'
import type { Directory } from './trust/directory.ts'
import { createLdapDirectory } from './trust/ldap.ts'
import { createLogins } from './trust/logins.ts'
import { followRevoked, serveTrustNodes } from './trust/nodes.ts'
import { serveTrust } from './trust/service.ts'
import { createSessions } from './trust/sessions.ts'
import type { Sessions } from './trust/sessions.ts'
import type { TokenJudge } from './trust/tokens.ts'
import { createTrustView } from './trust/view.ts'
import type { NodeTrustView } from './trust/view.ts'

/** Sealed words of trust in the store: no function's manifest can name what lies here. */
const SECRETS_PREFIX = 'trust-secret/'

export interface TrustBase {
  /** What the gate asks: users, roles, revoked nodes. */
  readonly view: NodeTrustView
  readonly book: TrustBook
  /** What judges a token on this node, whoever presents it: sockets here, the HTTP door too. */
  readonly judge: TokenJudge
  stop(): Promise<void>
}

/** Users, roles and revoked nodes, followed from here on. */
export function startTrustBase({ fabric, store, localStore }: { readonly fabric: FabricNode; readonly store: FabricStore; readonly localStore: LocalStore }): TrustBase {
  const { signer, log } = fabric
  const view = createTrustView({ store, localStore, signer, clock: systemClock, log })
  const book = createTrustBook({ store, view, signer, clock: systemClock })
  view.start()
  const judge: TokenJudge = {
    verify: (node, bytes, signature) => signer.verify(node, bytes, signature), fabric: fabric.info().fabric, node: fabric.id,
    settings: () => view.settings(), user: (name) => view.userRecord(name), revokedNode: (node) => view.revokedNode(node),
  }
  const unfollow = followRevoked(view, fabric)
  return { view, book, judge, stop: () => { unfollow(); return view.stop() } }
}

export interface TrustOptions {
  readonly base: TrustBase
  readonly fabric: FabricNode
  readonly store: FabricStore
  readonly audit: AuditLog
  /** Rejects when the caller may not administer the fabric. */
  readonly admit: (what: string, context: CallContext) => void | Promise<void>
  /** Path of a socket for other users of the machine; left out: none. */
  readonly usersSocket?: string
  /** Default: LDAP, as the fabric's settings say. */
  readonly directory?: Directory
}

export interface Trust {
  /** For fabric.open(). */
  readonly doors: OpenDoorsOptions
  readonly sessions: Sessions
  stop(): void
}

export function startTrust({ base, fabric, store, audit, admit, usersSocket, directory }: TrustOptions): Trust {
  const { view, book, judge } = base
  const { registry, membership, signer, log } = fabric
  const secrets = createSecrets({
    store, membership, sealing: fabric.sealing, clock: systemClock, random: systemRandom, usedBy: () => [], prefix: SECRETS_PREFIX,
    warn: (message, reason) => log.warn(message, { reason }),
  })
  const asked = directory ?? createLdapDirectory({
    settings: () => view.settings().ldap, clock: systemClock, log,
    bindPassword: () => secrets.get({ name: 'ldap', secrets: [LDAP_SECRET] }, LDAP_SECRET),
  })
  const sessions = createSessions({ judge, view, ownPrincipal: localPrincipal(), clock: systemClock, random: systemRandom, log })
  const logins = createLogins({ view, book, directory: asked, signer, judge, audit, clock: systemClock, random: systemRandom })
  serveTrust({ registry, sessions, logins, view, judge, audit, members: () => membership.members(), nodeName: () => membership.self.name })
  serveTrustAdmin({ registry, view, book, sessions, secrets, audit, admit, clock: systemClock })
  serveTrustNodes({ fabric, store, view, book, clock: systemClock })
  return {
    sessions,
    doors: { admit: (connection) => sessions.admit(connection), ...(usersSocket === undefined ? {} : { users: { path: usersSocket, connectionsMax: LIMITS.usersConnectionsMax } }) },
    stop() {
      sessions.close()
      secrets.close()
    },
  }
}
