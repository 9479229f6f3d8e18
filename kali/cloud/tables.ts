// The records that a view knows, by key and by what they are asked for: pool, machine, node, group. Pure but for `bad`.
//
// Invariants: indexes hold the keys of the present record only; a change costs the same however many records there are; lists
// are in order of names, made when first asked for after a change and kept until the next.

import type { GlobalStoreEntry } from '../../fabric/mod.ts'
import type { CloudView, Stored } from './contract.ts'
import { CLOUD_KEYS, CLOUD_PREFIX } from './keys.ts'
import type { WatchedType } from './keys.ts'
import { RECORDS, storedRecord } from './read.ts'
import type { RecordKind } from './read.ts'
import type { ModeRecord } from './records.ts'

/** Nobody has set a mode yet. */
const ARMED: ModeRecord = Object.freeze({ mode: 'armed', by: '', atMs: 0, reason: '' })

export interface Tables {
  readonly view: Pick<CloudView, 'pools' | 'pool' | 'machines' | 'machine' | 'intents' | 'intent' | 'status' | 'groups' | 'group' | 'rules' | 'lease' | 'quota' | 'quotas' | 'access' | 'mode'>
  /** Whether anything changed: an event that is older than what is known changes nothing. */
  put(key: { readonly type: WatchedType; readonly id: string }, entry: GlobalStoreEntry): boolean
  remove(key: { readonly type: WatchedType; readonly id: string }, modRevision: number): boolean
  /** Store keys of all records. */
  keys(): readonly string[]
}

export function createTables(bad: (key: string, error: unknown) => void): Tables {
  const pools = new Table(RECORDS.pool, {})
  const machines = new Table(RECORDS.machine, { pool: ({ pool }) => pool })
  const intents = new Table(RECORDS.intent, { pool: ({ pool }) => pool, machine: ({ machine }) => machine?.uuid, node: ({ machine }) => machine?.node, group: ({ group }) => group })
  const statuses = new Table(RECORDS.status, {})
  const groups = new Table(RECORDS.group, { pool: ({ pool }) => pool })
  const rules = new Table(RECORDS.rule, { pool: ({ pool }) => pool })
  const leases = new Table(RECORDS.lease, {})
  const quotas = new Table(RECORDS.quota, {})
  const accesses = new Table(RECORDS.access, {})
  const modes = new Table(RECORDS.mode, {})
  const all: Readonly<Record<WatchedType, Pick<Table<unknown, string>, 'put' | 'remove' | 'ids'>>> = { pool: pools, machine: machines, vm: intents, status: statuses, group: groups, rule: rules, lease: leases, quota: quotas, access: accesses, mode: modes }

  return {
    view: {
      pools: () => pools.all(),
      pool: (uuid) => pools.get(uuid),
      machines: (pool) => (pool === undefined ? machines.all() : machines.of('pool', pool)),
      machine: (uuid) => machines.get(uuid),
      intents(of = {}) {
        const wanted = Object.entries(of).filter((pair): pair is [keyof typeof of, string] => pair[1] !== undefined)
        const [first, ...others] = wanted.sort(([a], [b]) => NARROW.indexOf(a) - NARROW.indexOf(b))
        if (first === undefined) return intents.all()
        const found = intents.of(...first)
        return others.length === 0 ? found : found.filter((intent) => others.every(([index, value]) => intents.is(intent, index, value)))
      },
      intent: (vm) => intents.get(vm),
      status: (vm) => statuses.get(vm),
      groups: (pool) => (pool === undefined ? groups.all() : groups.of('pool', pool)),
      group: (uuid) => groups.get(uuid),
      rules: (pool) => rules.of('pool', pool),
      lease: (node) => leases.get(node),
      quota: (scope) => quotas.get(scope),
      quotas: () => quotas.all(),
      access: (kind, uuid) => accesses.get(`${kind}/${uuid}`),
      mode: () => modes.get('mode') ?? ARMED,
    },
    put({ type, id }, entry) {
      try {
        return all[type].put(id, entry)
      } catch (error) {
        bad(entry.key, error)
        return all[type].remove(id, entry.modRevision)
      }
    },
    remove: ({ type, id }, modRevision) => all[type].remove(id, modRevision),
    keys: () => Object.entries(all).flatMap(([type, table]) => [...table.ids()].map((id) => (type === 'mode' ? CLOUD_KEYS.mode : `${CLOUD_PREFIX}${type}/${id}`))),
  }
}

/** The index with the fewest records of one value first. */
const NARROW: readonly string[] = ['group', 'machine', 'node', 'pool']

type Named = { readonly name?: string }

class Table<T, I extends string> {
  readonly #kind: RecordKind<T>
  readonly #indexes: readonly [I, (record: T) => string | undefined][]
  readonly #records = new Map<string, Stored<T>>()
  /** By index and value: ids, and the list in order once it was asked for. */
  readonly #by = new Map<string, { readonly ids: Set<string>; list: readonly Stored<T>[] | undefined }>()
  #list: readonly Stored<T>[] | undefined

  constructor(kind: RecordKind<T>, indexes: { readonly [K in I]: (record: T) => string | undefined }) {
    this.#kind = kind
    this.#indexes = Object.entries(indexes) as [I, (record: T) => string | undefined][]
  }

  get(id: string): Stored<T> | undefined { return this.#records.get(id) }
  ids(): Iterable<string> { return this.#records.keys() }
  all(): readonly Stored<T>[] { return this.#list ??= inOrder(this.#records) }
  is(record: T, index: I, value: string): boolean { return this.#indexes.some(([name, of]) => name === index && of(record) === value) }

  of(index: I, value: string): readonly Stored<T>[] {
    const entry = this.#by.get(`${index}/${value}`)
    if (entry === undefined) return NONE
    return entry.list ??= inOrder(new Map([...entry.ids].map((id) => [id, this.#records.get(id) as Stored<T>])))
  }

  put(id: string, entry: GlobalStoreEntry): boolean {
    const before = this.#records.get(id)
    if (before !== undefined && before.revision >= entry.modRevision) return false
    const after = storedRecord(this.#kind, entry)
    this.#move(id, before, after)
    this.#records.set(id, after)
    return true
  }

  remove(id: string, modRevision: number): boolean {
    const before = this.#records.get(id)
    if (before === undefined || before.revision > modRevision) return false
    this.#move(id, before, undefined)
    this.#records.delete(id)
    return true
  }

  #move(id: string, before: Stored<T> | undefined, after: Stored<T> | undefined): void {
    this.#list = undefined
    for (const [index, of] of this.#indexes) {
      const from = before && of(before), to = after && of(after)
      if (from !== undefined) this.#change(`${index}/${from}`, id, from !== to)
      if (to !== undefined && to !== from) this.#add(`${index}/${to}`, id)
    }
  }

  #change(key: string, id: string, leaves: boolean): void {
    const entry = this.#by.get(key)
    if (entry === undefined) return
    entry.list = undefined
    if (leaves) entry.ids.delete(id)
    if (entry.ids.size === 0) this.#by.delete(key)
  }

  #add(key: string, id: string): void {
    const entry = this.#by.get(key)
    if (entry === undefined) this.#by.set(key, { ids: new Set([id]), list: undefined })
    else {
      entry.ids.add(id)
      entry.list = undefined
    }
  }
}

const NONE: readonly never[] = Object.freeze([])

/** By name, then id: the same on every node. */
function inOrder<T>(records: ReadonlyMap<string, Stored<T>>): readonly Stored<T>[] {
  const named = [...records].map(([id, record]) => ({ id, name: (record as Named).name ?? '', record }))
  named.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1))
  return Object.freeze(named.map(({ record }) => record))
}
