// 1,000 members in simulation (test/sim): when everybody knows of a crash, in virtual time, and how the
// traffic of one member grows with their number.

import { crash, traffic } from '../sim/membership-scenarios.ts'
import { low, standalone } from './figure.ts'
import type { Bench } from './figure.ts'

const MEMBERS = 1_000
const FEW = 100
const KNOWN_MS = 5_000
const SEEDS = [1]
/** Seeds differ a little in who probes whom. */
const SLACK = 1.1

export const bench: Bench = {
  name: 'simulated',
  run: async () => {
    const known = (kind: 'kill' | 'powerOff'): number[] => SEEDS.map((seed) => crash(seed, MEMBERS, kind).figures['knownMs'] ?? NaN)
    const killed = known('kill'), silent = known('powerOff')
    const worst = Math.max(...killed, ...silent)
    const few = traffic(1, FEW).figures['bytesPerSecond'] ?? NaN, many = traffic(1, MEMBERS).figures['bytesPerSecond'] ?? NaN
    const grown = many / few, allowed = Math.log2(MEMBERS) / Math.log2(FEW) * SLACK
    return [
      {
        name: 'sim-crash', what: `${MEMBERS.toLocaleString('en-US')} members in simulation: everybody knows of a crash, slowest, virtual time`, toReach: `<= ${KNOWN_MS} ms`, unit: 'ms',
        p50: worst, best: low(killed).best, count: killed.length + silent.length, peers: [], reached: worst <= KNOWN_MS, note: `process killed ${Math.max(...killed).toFixed(0)} ms, host silent ${Math.max(...silent).toFixed(0)} ms`,
      },
      {
        name: 'sim-traffic', what: `traffic of one member, ${MEMBERS.toLocaleString('en-US')} members against ${FEW}`, toReach: `<= log ratio ${allowed.toFixed(2)}`, unit: 'times',
        p50: grown, best: grown, count: 1, peers: [], reached: grown <= allowed, note: `${few.toFixed(0)} and ${many.toFixed(0)} bytes/s`,
      },
    ]
  },
}

if (import.meta.main) await standalone(bench)
