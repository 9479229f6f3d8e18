// The part of the book about virtual machines: what is wanted of each (intents), and what its agent says (statuses).
//
//   intend / change / forget --one transaction--> vm/UUID, its name, machines and counters as bookings.ts says
//   status                   --one transaction--> status/UUID, only while the intent names that machine in that epoch
//
// Invariants (cloud.md 5.3, 8.5): an intent is only ever replaced from the revision it was read at; machine and epoch change
// together, and the epoch never falls; what is to run on a machine is booked there; an armed VM is taken from its machine
// only with that machine's lease gone in the same transaction, or on proof (5.2, 5.3).

import type { CloudView, Stored } from './contract.ts'
import { bookings, equal, neededFor, NOTHING } from './bookings.ts'
import { withOwner } from './owners.ts'
import type { GroupsOf, OwnersOptions } from './owners.ts'
import { KALI } from '../errors.ts'
import type { GlobalStore, StoreCompare, StoreOperation } from '../../fabric/mod.ts'
import { protectionUuidOf } from '../kinds/high-availability-settings.ts'
import { CLOUD_KEYS, CLOUD_PREFIXES } from './keys.ts'
import type { ChangeOptions, CloudBook } from './parts.ts'
import { encodeRecord, RECORDS, decodeRecord, storedRecord } from './read.ts'
import type { IntentRecord, QuotaScope } from './records.ts'
import type { Body, Found, Outcome, Transactions } from './transactions.ts'

export interface IntentsOptions { readonly store: GlobalStore; readonly view: CloudView; readonly transactions: Transactions; readonly groupsOf: GroupsOf }
export type IntentWrites = Pick<CloudBook, 'intend' | 'change' | 'forget' | 'status' | 'read'>

export function createIntents({ store, view, transactions, groupsOf }: IntentsOptions): IntentWrites {
  const owners: OwnersOptions = { groupsOf, limited: (group) => view.quota(`group/${group}`) !== undefined }
  return {
    async intend(wanted, options = {}) {
      const conditions = conditionsOf(options)
      return transactions.run(`VM ${wanted.name}`, function* () {
        const intent = withOwner(undefined, wanted, owners)
        const [found] = yield [CLOUD_KEYS.vm(intent.uuid)]
        if (found !== undefined) throw KALI.CHANGED({ what: `VM ${intent.name}` })
        const write = yield* replace(undefined, intent)
        return { write, when: conditions, done: (revision) => ({ ...intent, revision }) }
      }, { lane: wanted.pool, ...signalOf(options) })
    },

    async change(vm, change, options = {}) {
      const conditions = conditionsOf(options)
      return transactions.run(`VM ${view.intent(vm)?.name ?? vm}`, function* (): ReturnType<Body<Stored<IntentRecord> | undefined>> {
        const [found] = yield [CLOUD_KEYS.vm(vm)]
        if (found === undefined) throw KALI.VM_UNKNOWN({ vm })
        const before = storedRecord(RECORDS.intent, found)
        const wanted = change(before)
        if (wanted === undefined) return { write: [], done: () => undefined }
        const after = withOwner(before, wanted, owners)
        if (options.proof === undefined) yield* takeable(before, after)
        const write = yield* replace(before, after)
        return { write, when: conditions, done: (revision) => ({ ...after, revision }) }
      }, { ...laneOf(view.intent(vm)), ...signalOf(options) })
    },

    async forget(vm, when) {
      await transactions.run(`VM ${view.intent(vm)?.name ?? vm}`, function* (): ReturnType<Body<void>> {
        const [found] = yield [CLOUD_KEYS.vm(vm)]
        if (found === undefined) return NOTHING_WRITTEN
        const before = storedRecord(RECORDS.intent, found)
        if (!when(before)) throw KALI.CHANGED({ what: `VM ${before.name}` })
        return { write: yield* replace(before, undefined), done() {} }
      }, laneOf(view.intent(vm)))
    },

    async status(status) {
      const key = CLOUD_KEYS.vm(status.uuid)
      const put: StoreOperation = { do: 'put', key: CLOUD_KEYS.status(status.uuid), value: encodeRecord(RECORDS.status, status) }
      const known = view.intent(status.uuid)
      // Nearly always this node knows the intent as it is: one message instead of two.
      if (known !== undefined && isOf(known, status) && (await store.transact({ when: [{ key, field: 'modRevision', is: '=', than: known.revision }], then: [put] })).succeeded) return
      await transactions.run(`VM ${known?.name ?? status.uuid}`, function* (): ReturnType<Body<void>> {
        const [found] = yield [key]
        const present = found && storedRecord(RECORDS.intent, found)
        if (present === undefined || !isOf(present, status)) throw KALI.EPOCH_STALE({ vm: present?.name ?? status.uuid, epoch: status.epoch, present: present === undefined ? 'it was forgotten' : `it is in epoch ${present.epoch} on ${present.machine?.name ?? 'no machine'}` })
        return { write: [put], done() {} }
      })
    },

    async read(vm, options = {}) {
      const entry = await store.get(CLOUD_KEYS.vm(vm), options)
      return entry && storedRecord(RECORDS.intent, entry)
    },
  }
}

const NOTHING_WRITTEN: Outcome<void> = { write: [], done() {} }
const isOf = ({ machine, epoch }: IntentRecord, status: { readonly machine: string; readonly epoch: number }): boolean => machine?.uuid === status.machine && epoch === status.epoch
const signalOf = ({ signal }: ChangeOptions): { readonly signal?: AbortSignal } => (signal === undefined ? {} : { signal })
const laneOf = (intent: IntentRecord | undefined): { readonly lane?: string } => (intent === undefined ? {} : { lane: intent.pool })

/** A condition on a key that is spelled wrongly holds for ever: a takeover would look safe. */
function conditionsOf({ when = [] }: ChangeOptions): readonly StoreCompare[] {
  const foreign = when.find(({ key }) => !CLOUD_PREFIXES.some((prefix) => key.startsWith(prefix)))
  if (foreign !== undefined) throw KALI.RECORD_INVALID({ what: 'the key of a condition', expected: 'one of kali/cloud/keys.ts', got: foreign.key })
  return when
}

/** Whatever a policy asks for: an armed VM leaves its machine by itself, or that machine's lease is gone, in this transaction. */
function* takeable(before: IntentRecord, after: IntentRecord): Generator<readonly string[], void, readonly Found[]> {
  const { machine, protection } = before
  if (machine === undefined || protection?.armed !== true || after.machine?.uuid === machine.uuid || after.origin === 'migrate') return
  const [lease] = yield [CLOUD_KEYS.lease(machine.node)]
  if (lease !== undefined) throw KALI.NOT_TAKEABLE({ vm: before.name, reason: `the lease of ${machine.name} stands` })
}

/** Operations that put `after` in the place of `before` (undefined: it is not there), with its name and its bookings. */
function* replace(before: Stored<IntentRecord> | undefined, after: IntentRecord | undefined): Generator<readonly string[], StoreOperation[], readonly Found[]> {
  if (after !== undefined) checkIntent(before, after)
  const needed = neededFor(before, after)
  const names = { from: before && CLOUD_KEYS.vmName(before.pool, before.name), to: after && CLOUD_KEYS.vmName(after.pool, after.name) }
  const group = after?.group !== undefined && after.group !== before?.group ? [CLOUD_KEYS.group(after.group)] : []
  const recounted = groupsRecounted(before, after).map(CLOUD_KEYS.group)
  const keys = [
    ...needed.machines.map(CLOUD_KEYS.machine), ...needed.pools.map(CLOUD_KEYS.pool),
    ...needed.scopes.flatMap((scope) => [CLOUD_KEYS.booked(scope), CLOUD_KEYS.quota(scope)]),
    ...(names.to !== undefined && names.to !== names.from ? [names.to] : []), ...recounted,
  ]
  const entries = keys.length === 0 ? [] : yield keys
  const found = new Map(keys.map((key, at) => [key, entries[at]]))
  if (group.some((key) => found.get(key) === undefined)) throw KALI.GROUP_UNKNOWN({ group: after?.group ?? '' })
  if (names.to !== undefined && found.get(names.to) !== undefined) throw KALI.NAME_TAKEN({ what: 'VM', name: after?.name ?? '' })
  const of = <T>(kind: Parameters<typeof decodeRecord<T>>[0], key: string): T | undefined => {
    const entry = found.get(key)
    return entry && decodeRecord(kind, entry.value)
  }
  const { machines, counters } = bookings(before, after, {
    machine: (uuid) => of(RECORDS.machine, CLOUD_KEYS.machine(uuid)), pool: (uuid) => of(RECORDS.pool, CLOUD_KEYS.pool(uuid)),
    counter: (scope) => of(RECORDS.amounts, CLOUD_KEYS.booked(scope)), quota: (scope) => of(RECORDS.quota, CLOUD_KEYS.quota(scope)),
  })
  const uuid = (after ?? before)?.uuid ?? ''
  return [
    ...(after === undefined ? [{ do: 'delete', key: CLOUD_KEYS.vm(uuid) } as const, { do: 'delete', key: CLOUD_KEYS.status(uuid) } as const] : [{ do: 'put', key: CLOUD_KEYS.vm(uuid), value: encodeRecord(RECORDS.intent, after) } as const]),
    ...(names.from !== undefined && names.from !== names.to ? [{ do: 'delete', key: names.from } as const] : []),
    ...(before?.protection !== undefined && after?.protection === undefined ? [{ do: 'delete', key: CLOUD_KEYS.access('HighAvailability', protectionUuidOf(uuid)) } as const] : []),
    ...(names.to !== undefined && names.to !== names.from ? [{ do: 'put', key: names.to, value: new TextEncoder().encode(uuid) } as const] : []),
    ...recounted.flatMap((key): StoreOperation[] => {
      const value = found.get(key)?.value
      return value === undefined ? [] : [{ do: 'put', key, value }]
    }),
    ...machines.map((machine) => ({ do: 'put', key: CLOUD_KEYS.machine(machine.uuid), value: encodeRecord(RECORDS.machine, machine) }) as const),
    ...counters.map(({ scope, amounts }) => (equal(amounts, NOTHING) && isAccount(scope) ? { do: 'delete', key: CLOUD_KEYS.booked(scope) } as const : { do: 'put', key: CLOUD_KEYS.booked(scope), value: encodeRecord(RECORDS.amounts, amounts) } as const)),
  ]
}

/**
 * Groups of which one member more or less is there, or is wanted running: their records are written again as they are, so that
 * who goes by a count (`min`, `max`) binds it by the revision of the group's record.
 */
function groupsRecounted(before: IntentRecord | undefined, after: IntentRecord | undefined): readonly string[] {
  const partOf = (intent: IntentRecord | undefined): string => intent === undefined || intent.desired === 'absent' ? 'none' : intent.desired === 'running' && intent.error === undefined ? 'running' : 'other'
  if (before?.group === after?.group && partOf(before) === partOf(after)) return []
  return [...new Set([before?.group, after?.group])].filter((group) => group !== undefined)
}

/** Counters of accounts, users and groups come and go; a pool's is there as long as the pool. */
const isAccount = (scope: QuotaScope): boolean => !scope.startsWith('pool/')

function checkIntent(before: IntentRecord | undefined, after: IntentRecord): void {
  const wrong = (what: string, expected: string, got: unknown): Error => KALI.RECORD_INVALID({ what: `${what} of VM ${after.name}`, expected, got: String(got) })
  const epoch = before?.epoch ?? 0
  if (before !== undefined && before.uuid !== after.uuid) throw wrong('uuid', before.uuid, after.uuid)
  if (after.epoch < epoch) throw wrong('epoch', `at least ${epoch}`, after.epoch)
  if (before?.machine?.uuid !== after.machine?.uuid && after.epoch <= epoch) throw wrong('epoch', `more than ${epoch}, as its machine changes`, after.epoch)
  if (after.desired === 'running' && after.machine !== undefined && !after.booked) throw wrong('booked', 'true, as it is to run on a machine', false)
}
