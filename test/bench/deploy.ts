// A part of functions-deploy, for whoever works on the catalog: from a built bundle to "ready on all nodes", 8 nodes in this process,
// over their real links, with the store at the founder. A script of 100 KB; what it says of itself is read here, so the
// sandbox is not in it.

import { bundleOf } from '../support/catalog-fabric.ts'
import { openCatalogNodes } from '../support/catalog-nodes.ts'
import { low, standalone, timed, withScope } from './figure.ts'
import type { Bench } from './figure.ts'

const NODES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
const COUNT = 40
const READY_MS = 1_000
const SCRIPT = 'x'.repeat(100_000)

export const bench: Bench = {
  name: 'deploy',
  run: () => withScope(async (scope) => {
    const nodes = await openCatalogNodes((after) => scope.defer(after), NODES)
    const times = await timed(COUNT, async (i) => {
      const { ready } = await nodes[i % NODES.length]!.client.deploy(bundleOf('hot', `${SCRIPT}${i}`))
      if (ready.length !== NODES.length) throw new Error(`ready on ${ready.join(', ')} only`)
    })
    const spread = low(times.slice(NODES.length))
    return [{
      name: 'deploy-ready', what: `deploy to ready on ${NODES.length} nodes of this machine, script of 100 KB`, toReach: `<= ${READY_MS / 1_000} s`, unit: 'ms', ...spread, peers: [],
      reached: spread.p50 <= READY_MS, why: 'not profiled',
    }]
  }),
}

if (import.meta.main) await standalone(bench)
