// What a connection may call before and while it is a user's. Which methods are for users at all, and what each asks: the table of
// ../method-rights.ts. All else of a node's registry is for members of the fabric (the bare store, copies of code, leases), or for the
// machine's administrator: to a user it is refused, whatever his rights.

export { isForUsers } from '../method-rights.ts'

/** On a connection that has not shown who it is. */
export const OPEN_METHODS: ReadonlySet<string> = new Set(['trust.login', 'trust.challenge', 'trust.present', 'trust.whoami'])

/** Of a session itself: never counted against a token's calls. */
export const SESSION_METHODS: ReadonlySet<string> = new Set([...OPEN_METHODS, 'trust.renew'])
