// Accounts of one node, put together: what it meters, what functions report, what it answers.

import type { Clock } from '../../fabric/base.ts'
import type { LocalStore } from '../../fabric/mod.ts'
import type { Ledger } from '../ledger.ts'
import type { LocalObjects } from '../object.ts'
import { createUsageBook } from './book.ts'
import type { UsageBook } from './book.ts'
import { bootId, emulatorStarts } from './emulators.ts'
import { startMeter } from './meter.ts'
import { createMeteredObjects, ownerOf } from './objects.ts'
import type { PooledVm } from './objects.ts'

export interface FunctionUse { readonly name: string; /** Principal of who deployed it. */ readonly deployer: string | undefined; readonly cpuMs: number; readonly failed: boolean }
export interface Accounts {
  readonly book: Pick<UsageBook, 'rows'>
  /** A call of a deployed function ran here. */
  called(use: FunctionUse): void
  /** Reads off now: what is asked next is as of this moment. */
  settle(): Promise<void>
  stop(): Promise<void>
}

export interface AccountsOptions {
  readonly store: LocalStore
  readonly objects: Pick<LocalObjects, 'list' | 'onChange'>
  readonly pooled: PooledVm
  /** VM.account() keeps its own sums. */
  readonly ledger: Pick<Ledger, 'use'>
  /** Milliseconds since the machine's start, suspend included. */
  readonly bootNowMs: () => number
  readonly clock: Clock
  /** `pooled` knows. */
  readonly ready: Promise<void>
  readonly failed?: (error: unknown) => void
}

const US_PER_MS = 1_000

/** Begins to meter. Call when the objects of this machine have been read. */
export function startAccounts({ store, objects, pooled, ledger, bootNowMs, clock, ready, failed }: AccountsOptions): Accounts {
  const book = createUsageBook({ store, clock, ...(failed === undefined ? {} : { failed }) })
  const source = createMeteredObjects({ objects, pooled })
  const meter = startMeter({
    book, vms: source.vms, volumes: source.volumes, startedMs: emulatorStarts, boot: { id: bootId(), nowMs: bootNowMs }, clock, ready,
    used: (vm, { vmMs = 0, vcpuMs = 0, memoryMiBMs = 0 }) => ledger.use({ kind: 'VM', uuid: vm }, { vmSeconds: vmMs / 1_000, vcpuSeconds: vcpuMs / 1_000, memoryMiBSeconds: memoryMiBMs / 1_000 }),
  })
  const unsubscribe = source.onEnded((vm) => meter.ended(vm))
  return {
    book,
    called({ name, deployer, cpuMs, failed }) {
      book.add({ owner: ownerOf(deployer), kind: 'function', id: name, name, pool: '' }, { calls: 1, failures: failed ? 1 : 0, cpuUs: Math.round(cpuMs * US_PER_MS) }, { untilMs: clock.wallMs(), lastedMs: 0 })
    },
    settle: () => meter.tick(),
    async stop() {
      unsubscribe()
      await meter.stop()
    },
  }
}
