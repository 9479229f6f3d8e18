// Safety bugs of the cloud, planted on purpose: each replaces one part by a wrong one at a seam of the simulated node
// (cloud-node.ts), never in the product's code. The simulation must catch every one of them.

import type { CloudBook } from '../../kali/cloud/parts.ts'
import type { IntentRecord } from '../../kali/cloud/contract.ts'
import { BOOKED_PREFIX, CLOUD_KEYS } from '../../kali/cloud/keys.ts'
import type { GlobalStore } from '../../fabric/mod.ts'
import type { Seams } from './cloud-node.ts'
import type { CloudRunOptions } from './cloud-world.ts'

export interface PlantedBug {
  readonly name: string
  /** What is wrong, and what of cloud.md it breaks. */
  readonly breaks: string
  readonly seams?: Seams
  /** Where it shows soonest. */
  readonly run?: Omit<CloudRunOptions, 'seams'>
  /** The simulation says so. */
  readonly caughtBy: RegExp
}

const DOUBLE = /runs on host\d and on|while it runs on|was started on/
const LEASE = CLOUD_KEYS.lease('' as never)
const without = (book: CloudBook, over: Partial<CloudBook>): CloudBook => Object.assign(Object.create(book) as CloudBook, book, over)

/** The store, one of whose answers is bent. */
const bent = (store: GlobalStore, over: Partial<GlobalStore>): GlobalStore => ({ ...store, ...over })

const CUT = ['cut off from the store', 'cut off from all', 'hears nobody', 'is not heard'] as const

export const PLANTED: readonly PlantedBug[] = [
  {
    name: 'no fence on lease loss, no watchdog', breaks: 'cloud.md 5.4: a host that lost its lease leaves its VMs running', caughtBy: DOUBLE, run: { only: CUT },
    seams: { fence: () => async () => {}, watchdog: (watchdog) => ({ ...watchdog, async feed() { return [] } }) },
  },
  {
    name: 'epoch not raised', breaks: 'cloud.md 5.3: machine changes, epoch does not', caughtBy: /without a new epoch|epoch of/, run: { only: ['host dies'] },
    seams: { store: (store) => bent(store, { transact: (transaction, options) => store.transact({ ...transaction, then: transaction.then.map((operation) => {
      if (operation.do !== 'put' || !operation.key.startsWith(CLOUD_KEYS.vm(''))) return operation
      const intent = JSON.parse(new TextDecoder().decode(operation.value)) as IntentRecord
      return intent.epoch < 2 || intent.origin === 'migrate' ? operation : { ...operation, value: new TextEncoder().encode(JSON.stringify({ ...intent, epoch: 1 })) }
    }) }, options) }) },
  },
  {
    name: 'takeover without the lease-gone compare', breaks: 'cloud.md 5.3: a view that is behind takes a VM whose host has its lease', caughtBy: /whose lease stands|while it runs on|runs on host\d and on/,
    run: { only: [...CUT, 'slow network'] },
    seams: {
      view: (view) => Object.create(view, { lease: { value: () => undefined }, contactSinceMs: { value: () => -1e9 } }) as typeof view,
      store: (store) => bent(store, { transact: (transaction, options) => store.transact({ ...transaction, when: (transaction.when ?? []).filter(({ key }) => !key.startsWith(LEASE)) }, options) }),
      book: (book) => without(book, { change: (vm, change, options) => book.change(vm, change, { ...options, proof: 'suspicion', when: [] }) }),
    },
  },
  {
    name: 'contact rule dropped', breaks: 'cloud.md 5.10: after an outage of the store leases are gone and hosts survive, and somebody takes over at once', caughtBy: DOUBLE,
    run: { only: ['store out of reach'], faults: 10 },
    seams: { view: (view) => Object.create(view, { contactSinceMs: { value: () => view.contactSinceMs() === undefined ? undefined : -1e9 } }) as typeof view },
  },
  {
    name: 'embedded store\'s node outvotes nobody', breaks: 'cloud.md 5.10: cut off with the store, it takes what the others keep', caughtBy: DOUBLE,
    run: { embedded: true, at: 0, only: ['cut off from the nodes'], faults: 6, users: false }, seams: { vote: () => async () => ({ when: [] }) },
  },
  {
    name: 'a minority keeps', breaks: 'cloud.md 5.10: two of five cut off from the store go on while three take over', caughtBy: DOUBLE,
    run: { embedded: true, nodes: 5, only: CUT, users: false }, seams: { cutOff: () => async () => true },
  },
  {
    name: 'watchdog that feeds itself', breaks: 'cloud.md 5.4: a node that stands still keeps its guests', caughtBy: DOUBLE, run: { only: ['stands still', 'node process dies'] },
    seams: { watchdog: (watchdog) => ({ ...watchdog, async feed() { return [] } }) },
  },
  {
    name: 'booking outside the transaction', breaks: 'cloud.md 1: what is booked is not what the intents say', caughtBy: /audit/, run: { only: ['host dies'] },
    seams: { store: (store) => bent(store, { transact: (transaction, options) => store.transact({ ...transaction, then: transaction.then.filter((operation) => !(operation.do === 'put' && (operation.key.startsWith(CLOUD_KEYS.machine('')) || operation.key.startsWith(BOOKED_PREFIX)) && transaction.then.some((each) => 'key' in each && each.key.startsWith(CLOUD_KEYS.vm(''))))) }, options) }) },
  },
  {
    name: 'clocks wrong beyond S', breaks: 'cloud.md 5.1: F / rate + K + S is more than L', caughtBy: DOUBLE, run: { rates: { machines: 0.4, store: 1.5 }, only: ['stands still'] },
  },
  {
    name: 'intents written over', breaks: 'cloud.md 8.5: a change made from what was read long ago replaces a newer one', caughtBy: /audit/, run: { only: ['slow network'], faults: 1 },
    seams: { store: (store) => bent(store, { transact: (transaction, options) => store.transact({ ...transaction, when: [] }, options) }) },
  },
]
