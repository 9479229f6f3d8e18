// The warm call: a connected client asks another node for a function that node knows. Three processes
// (client, alpha, beta), beside a bare Noise echo and a Moleculer call over TCP.

import { openFabric, machineOf } from './fabric.ts'
import { alternate, low, standalone, timed, withScope } from './figure.ts'
import type { Bench } from './figure.ts'
import { openMoleculer } from './peers/moleculer.ts'
import { openNoise } from './peers/noise.ts'

const ROUNDS = 8
const CALLS = 250
const TARGET_MS = 0.6
const TIMES_NOISE = 5
/** Printed when it is missed; from an ad hoc profile (D-040), not measured by this file. */
const WHY = 'four processes work in sequence (client, relay, target, cell); an ad hoc profile of the relay (D-040) was flat, socket writes first'

export const bench: Bench = {
  name: 'warm-call',
  run: () => withScope(async (scope) => {
    const noise = await openNoise(scope)
    const moleculer = await openMoleculer(scope, 1)
    const { dc } = await openFabric(scope, ['alpha', 'beta'])
    const beta = await machineOf(dc, 'beta'), alpha = await machineOf(dc, 'alpha')
    const nameOf = (pm: { readonly name: string }) => pm.name
    const { overUdx } = noise
    const times = await alternate(ROUNDS, {
      kumoi: () => timed(CALLS, () => dc.from([beta]).dmap(nameOf)),
      noise: () => timed(CALLS, noise.overTcp),
      moleculer: () => timed(CALLS, () => moleculer.call()),
      udx: () => (overUdx === undefined ? Promise.resolve([]) : timed(CALLS, overUdx)),
      here: () => timed(CALLS, () => dc.from([alpha]).dmap(nameOf)),
      info: () => timed(CALLS, () => dc.node()),
    })
    const ours = low(times.kumoi), bare = low(times.noise)
    const peers = [{ name: 'Noise echo over TCP', ...bare }, { name: 'Noise/UDX echo', ...low(times.udx) }, { name: 'Moleculer (TCP)', ...low(times.moleculer) }]
    return [
      { name: 'warm-call', what: 'warm call of a known function on another node, from a connected client', toReach: `p50 <= ${TARGET_MS} ms`, unit: 'ms', ...ours, peers, reached: ours.p50 <= TARGET_MS, why: WHY },
      {
        name: 'warm-call-noise', what: 'the same, as times of a bare encrypted round trip (Noise over TCP)', toReach: `<= ${TIMES_NOISE}`, unit: 'times',
        p50: ours.p50 / bare.p50, best: ours.best / bare.best, count: ours.count, peers: [], reached: ours.p50 / bare.p50 <= TIMES_NOISE, why: WHY,
      },
      { name: 'warm-call-here', what: 'warm call on the connected node itself', unit: 'ms', ...low(times.here), peers: [] },
      { name: 'local-rpc', what: 'one call of the connected node, no function', unit: 'ms', ...low(times.info), peers: [] },
    ]
  }),
}

if (import.meta.main) await standalone(bench)
