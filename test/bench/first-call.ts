// Never-seen functions, through the full path: text parsed and captured at a connected client, shipped by
// alpha to beta, run there in an isolate that has never run anything, answered. 'Spare ready' waits until
// beta has made its spares again; 'no spare' asks for a heap size that no spare has.

import ivm from 'isolated-vm'
import { openFabric, machineOf } from './fabric.ts'
import { low, pause, standalone, timed, withScope } from './figure.ts'
import type { Bench } from './figure.ts'

const FIRST = 20
const COUNT = 80
/** Longer than the cell takes to make a spare isolate, on a machine where neighbours run. */
const REFILL_MS = 60
const READY_MS = 2
const BARE_MS = 10
const OTHER_HEAP_MIB = 65

const neverSeen = (): ((pm: unknown) => unknown) => new Function('pm', `return pm.name.length + ${Math.random()}`) as (pm: unknown) => unknown

/** A fresh isolate in this process: what there is to beat. */
async function bareIsolate(): Promise<void> {
  const isolate = new ivm.Isolate({ memoryLimit: OTHER_HEAP_MIB - 1 })
  const context = await isolate.createContext()
  const script = await isolate.compileScript(`(() => 1 + ${Math.random()})()`)
  await script.run(context)
  isolate.dispose()
}

export const bench: Bench = {
  name: 'first-call',
  run: () => withScope(async (scope) => {
    const { dc } = await openFabric(scope, ['alpha', 'beta'])
    const beta = await machineOf(dc, 'beta')
    const ready: number[] = [], bare: number[] = [], isolate: number[] = []
    for (let i = -FIRST; i < COUNT; i++) {
      const warm = await timed(1, () => dc.from([beta]).dmap(neverSeen()))
      await pause(REFILL_MS)
      const cold = await timed(1, () => dc.from([beta]).dmap(neverSeen(), { heapLimitMiB: OTHER_HEAP_MIB }))
      const alone = await timed(1, bareIsolate)
      await pause(REFILL_MS)
      if (i < 0) continue
      ready.push(...warm)
      bare.push(...cold)
      isolate.push(...alone)
    }
    const peers = [{ name: 'bare isolated-vm: make, compile, run', ...low(isolate) }]
    const withSpare = low(ready), without = low(bare)
    return [
      {
        name: 'first-call-spare', what: 'never-seen function, first result (full path), while a spare isolate is ready', toReach: `p50 <= ${READY_MS} ms`, unit: 'ms', ...withSpare, peers,
        reached: withSpare.p50 <= READY_MS, why: 'not profiled; each hop asks for the code in a round trip of its own, and a paced warm call was slow too (D-040); the sandbox alone: --only sandbox',
      },
      { name: 'first-call-bare', what: 'the same without a spare', toReach: `p50 <= ${BARE_MS} ms`, unit: 'ms', ...without, peers, reached: without.p50 <= BARE_MS, why: 'isolate, prelude and codec are made on the way; the sandbox alone: --only sandbox' },
    ]
  }),
}

if (import.meta.main) await standalone(bench)
