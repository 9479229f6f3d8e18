// Secrets of functions on this node: set, listed, removed, given to functions that name them, shared with new members.
//
//   kumoi secret set --> secret/NAME in the store, sealed to every member that is up --watch--> each node
//   secret.get(name) --> this node's box --> the isolate that asked; lines and errors are redacted from then on
//
// A member that joins, or comes back, finds no box for itself: any node that can open the secret adds one, by compare-and-put,
// after a random wait, so that it is mostly one node that does. Boxes of members that died or left stay until the value is
// set again: whoever could open it has known it, and only a new value takes that back; a new value is sealed to
// those that are up. A node that is not (yet) sealed to answers SECRET_SEALED, which may be tried again.

import { errorCode, LIMITS } from '../../fabric/base.ts'
import type { Clock, NodeId, Random, Timer } from '../../fabric/base.ts'
import type { CallContext, GlobalStore, Membership, RpcRegistry, Sealing, StoreCallOptions } from '../../fabric/mod.ts'
import type { CallAuthority, CallScope, SystemCalls } from '../deployed.ts'
import type { SecretRow } from '../deployed-api.ts'
import { admitAdministrator } from '../administrator.ts'
import type { Admit } from '../administrator.ts'
import { FUNCTIONS } from '../errors.ts'
import { SECRET_METHODS } from './client.ts'
import { Redactor } from './redaction.ts'
import { openSecret, readSecret, sealSecret, shareSecret, writeSecret } from './secret-record.ts'
import type { SecretRecord } from './secret-record.ts'

export interface SecretsOptions {
  readonly store: Pick<GlobalStore, 'get' | 'range' | 'transact' | 'watch'>
  readonly membership: Pick<Membership, 'self' | 'members' | 'member' | 'onEvent'>
  readonly sealing: Sealing
  readonly clock: Clock
  readonly random: Random
  /** Functions whose manifest names the secret. */
  readonly usedBy: (secret: string) => readonly string[]
  readonly warn: (message: string, reason: string) => void
  /** Where in the store; default 'secret/'. Others than functions' have a place of their own, which no function can name. */
  readonly prefix?: string
}

export interface NodeSecrets {
  readonly redactor: Redactor
  set(name: string, value: string, by: string, options?: StoreCallOptions): Promise<SecretRow>
  list(options?: StoreCallOptions): Promise<readonly SecretRow[]>
  /** Quietly does nothing when there is none. */
  remove(name: string, options?: StoreCallOptions): Promise<void>
  /** For a call whose function names the secret. Throws SECRET_UNKNOWN, SECRET_SEALED. */
  get(scope: Pick<CallScope, 'name' | 'secrets'>, secret: string, options?: StoreCallOptions): Promise<string>
  /** Offers `secret.get` to running functions. */
  register(calls: SystemCalls): void
  /** Methods for shells. */
  serve(registry: RpcRegistry, admit?: Admit): void
  /** Resolves when every secret that is in the store now has been looked at (redaction is complete from then on). */
  readonly ready: Promise<void>
  close(): void
}

const FUNCTIONS_PREFIX = 'secret/'
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
const UP: ReadonlySet<string> = new Set(['alive', 'suspect'])

interface Known { readonly record: SecretRecord; readonly revision: number }

export function createSecrets(options: SecretsOptions): NodeSecrets {
  const { store, membership, sealing, clock, random, usedBy, warn, prefix = FUNCTIONS_PREFIX } = options
  const redactor = new Redactor()
  const over = new AbortController()
  const known = new Map<string, Known>()
  const resealing = new Map<string, Timer>()
  const ready = Promise.withResolvers<void>()
  const self = (): NodeId => membership.self.id
  const up = (): readonly NodeId[] => membership.members().filter(({ state }) => UP.has(state)).map(({ id }) => id)
  const without = ({ sealedTo }: SecretRecord): readonly NodeId[] => up().filter((node) => sealedTo[node] === undefined)

  const open = (name: string, record: SecretRecord): string | undefined => {
    const value = openSecret(name, record, self(), sealing)
    if (value !== undefined) redactor.know(name, value)
    return value
  }
  const learn = (key: string, bytes: Uint8Array, revision: number): void => {
    const name = key.slice(prefix.length)
    const record = readSecret(bytes)
    if (record === undefined || (known.get(name)?.revision ?? -1) >= revision) return
    known.set(name, { record, revision })
    open(name, record)
    reseal(name)
  }

  /** Adds boxes for members that have none, later, if that is still needed then. */
  function reseal(name: string): void {
    const { record } = known.get(name) ?? {}
    if (record === undefined || record.sealedTo[self()] === undefined || without(record).length === 0 || resealing.has(name) || over.signal.aborted) return
    resealing.set(name, clock.after(random.next() * LIMITS.secretResealMs, () => void share(name), { background: true }))
  }
  async function share(name: string): Promise<void> {
    const present = known.get(name)
    let retry = false
    try {
      const missing = present === undefined ? [] : without(present.record)
      const shared = present === undefined || missing.length === 0 ? undefined : shareSecret(present.record, self(), missing, sealing)
      if (present === undefined || shared === undefined) return
      const { succeeded, revision } = await store.transact({ when: [{ key: prefix + name, field: 'modRevision', is: '=', than: present.revision }], then: [{ do: 'put', key: prefix + name, value: writeSecret(shared) }] }, { signal: over.signal })
      if (succeeded) known.set(name, { record: shared, revision })
      // Else somebody was faster: the watch brings what he wrote, and learn() looks again.
    } catch (error) {
      retry = !over.signal.aborted
      if (retry) warn(`secret ${name} could not be shared with new members`, String(error))
    } finally {
      resealing.delete(name)
      if (retry) reseal(name)
    }
  }

  const followOnce = async (): Promise<void> => {
    const there = new Set<string>()
    let revision = 0
    for (let after: string | undefined, first = true; ; first = false) {
      const page = await store.range(prefix, { ...(after === undefined ? {} : { after }), signal: over.signal })
      // Changes behind the first page are seen again by the watch.
      if (first) revision = page.revision
      for (const { key, value, modRevision } of page.entries) { there.add(key.slice(prefix.length)); learn(key, value, modRevision) }
      after = page.entries.at(-1)?.key
      if (!page.more || after === undefined) break
    }
    for (const name of known.keys()) if (!there.has(name)) known.delete(name)
    ready.resolve()
    for await (const { events } of store.watch(prefix, { after: revision, signal: over.signal })) {
      for (const event of events) {
        if (event.type === 'put') learn(event.entry.key, event.entry.value, event.entry.modRevision)
        else known.delete(event.key.slice(prefix.length))
      }
    }
  }
  const follow = async (): Promise<void> => {
    while (!over.signal.aborted) {
      try {
        await followOnce()
      } catch (error) {
        if (over.signal.aborted) return
        warn('secrets cannot be followed', String(error))
      }
      await new Promise<void>((done) => {
        const timer = clock.after(LIMITS.logRetryMs, done, { background: true })
        over.signal.addEventListener('abort', () => { timer.cancel(); done() }, { once: true })
      })
    }
  }
  const unsubscribe = membership.onEvent(() => { for (const name of known.keys()) reseal(name) })
  void follow()

  const rowOf = (name: string, { updatedAtMs, by, sealedTo }: SecretRecord): SecretRow =>
    ({ name, updatedAtMs, by, sealedTo: Object.keys(sealedTo).map((id) => membership.member(id)?.name ?? id.slice(0, 8)).sort(), usedBy: usedBy(name) })

  const secrets: Omit<NodeSecrets, 'register' | 'serve' | 'redactor' | 'ready' | 'close'> = {
    async set(name, value, by, callOptions = {}) {
      checkName(name)
      checkValue(name, value)
      // Redacted before anybody can have got it.
      redactor.know(name, value)
      const record = sealSecret({ name, value, nodes: [...new Set([self(), ...up()])], by, updatedAtMs: clock.wallMs(), sealing, random })
      const put = { do: 'put', key: prefix + name, value: writeSecret(record) } as const
      const overwritten = await store.transact({ when: [{ key: put.key, field: 'version', is: '>', than: 0 }], then: [put] }, callOptions)
      if (overwritten.succeeded) { learn(put.key, put.value, overwritten.revision); return rowOf(name, record) }
      const { entries } = await store.range(prefix, { limit: LIMITS.secretsMax, ...callOptions })
      if (entries.length >= LIMITS.secretsMax) throw FUNCTIONS.SECRET_INVALID({ secret: name, what: 'the number of secrets', expected: `at most ${LIMITS.secretsMax}`, got: `${entries.length} and this one` })
      const { revision } = await store.transact({ then: [put] }, callOptions)
      learn(put.key, put.value, revision)
      return rowOf(name, record)
    },

    async list(callOptions = {}) {
      const { entries } = await store.range(prefix, callOptions)
      return entries.flatMap(({ key, value }) => {
        const record = readSecret(value)
        return record === undefined ? [] : [rowOf(key.slice(prefix.length), record)]
      })
    },

    async remove(name, callOptions = {}) {
      checkName(name)
      await store.transact({ then: [{ do: 'delete', key: prefix + name }] }, callOptions)
    },

    async get({ name, secrets: named }, secret, callOptions = {}) {
      if (!named.includes(secret)) throw FUNCTIONS.SECRET_UNKNOWN({ name, secret })
      const record = await present(secret, callOptions)
      if (record === undefined) throw FUNCTIONS.SECRET_UNKNOWN({ name, secret })
      const value = open(secret, record)
      if (value === undefined) throw FUNCTIONS.SECRET_SEALED({ secret, node: membership.self.name })
      return value
    },
  }

  /** As the store says, or, when that does not answer, as it last said. */
  async function present(secret: string, { signal }: StoreCallOptions): Promise<SecretRecord | undefined> {
    try {
      const entry = await store.get(prefix + secret, { timeoutMs: LIMITS.gatherTimeoutMs, ...(signal === undefined ? {} : { signal }) })
      return entry === undefined ? undefined : readSecret(entry.value)
    } catch (error) {
      const last = known.get(secret)?.record
      if (last === undefined || signal?.aborted === true || errorCode(error) === undefined) throw error
      return last
    }
  }

  return {
    ...secrets, redactor, ready: ready.promise,
    register(calls) {
      calls.register('secret.get', async ([name], scope: CallScope, authority: CallAuthority) => {
        if (typeof name !== 'string') throw FUNCTIONS.PAYLOAD_INVALID({ what: 'the name of a secret', expected: 'a text', got: typeof name })
        return secrets.get(scope, name, { signal: authority.signal })
      })
    },
    serve(registry, admit = admitAdministrator) {
      const nameOf = (body: unknown): string => textOf((body as { readonly name?: unknown } | null)?.name, 'the name of a secret')
      const bound = (context: CallContext): StoreCallOptions => ({ signal: context.signal, timeoutMs: Math.max(1, Math.ceil(context.remainingMs())) })
      registry.method(SECRET_METHODS.set, (body: unknown, context: CallContext) => {
        admit(context, 'secret:set', 'set secrets')
        return secrets.set(nameOf(body), textOf((body as { readonly value?: unknown }).value, 'the value of a secret'), context.principal, bound(context))
      })
      registry.method(SECRET_METHODS.list, (_body: unknown, context: CallContext) => secrets.list(bound(context)))
      registry.method(SECRET_METHODS.remove, async (body: unknown, context: CallContext) => {
        admit(context, 'secret:remove', 'remove secrets')
        await secrets.remove(nameOf(body), bound(context))
        return null
      })
    },
    close() {
      over.abort()
      unsubscribe()
      for (const timer of resealing.values()) timer.cancel()
      ready.resolve()
    },
  }
}

function textOf(value: unknown, what: string): string {
  // What came instead is not shown: it may be the secret.
  if (typeof value !== 'string') throw FUNCTIONS.PAYLOAD_INVALID({ what, expected: 'a text', got: typeof value })
  return value
}

function checkName(name: string): void {
  if (!NAME.test(name)) throw FUNCTIONS.SECRET_INVALID({ secret: JSON.stringify(name.slice(0, 80)), what: 'its name', expected: '1 to 63 letters, digits, dots, dashes or underscores', got: `${name.length} characters` })
}

function checkValue(name: string, value: string): void {
  const bytes = Buffer.byteLength(value)
  if (value.length < LIMITS.secretCharsMin || bytes > LIMITS.secretBytesMax) {
    throw FUNCTIONS.SECRET_INVALID({ secret: name, what: 'its value', expected: `${LIMITS.secretCharsMin} characters at least, so that it can be kept out of logs, and ${LIMITS.secretBytesMax} bytes at most`, got: `${value.length} characters, ${bytes} bytes` })
  }
}
