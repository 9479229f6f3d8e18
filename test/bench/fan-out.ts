// Fan-out: one closure to 16 nodes, answers gathered; beside Moleculer over TCP with 16 nodes and Erlang's
// erpc:multicall over 16 nodes. Every node of every system is a process; each answers its own name. All
// are up, one system works at a time.

import { openFabric } from './fabric.ts'
import { alternate, low, quantile, standalone, timed, withScope } from './figure.ts'
import type { Bench, Peer } from './figure.ts'
import { ERLANG_ABSENT, hasErlang, openErlang } from './peers/erlang.ts'
import { openMoleculer } from './peers/moleculer.ts'

const NODES = 16
const ROUNDS = 8
const CALLS = 40
const TIMES_ERLANG = 3
const LISTEN_FIRST = 11
/** Printed when it is missed; what differs between the systems, not a measurement. */
const WHY = '33 processes share two cores, and each target works in a kernel and in a cell; neither peer sandboxes, Erlang neither encrypts nor ships code'

export const bench: Bench = {
  name: 'fan-out',
  run: () => withScope(async (scope) => {
    const erlang = hasErlang() ? await openErlang(scope, NODES) : undefined
    const moleculer = await openMoleculer(scope, NODES)
    const names = Array.from({ length: NODES }, (_, i) => `n${String(i).padStart(2, '0')}`) as [string, ...string[]]
    const { dc } = await openFabric(scope, names, {}, (i) => `127.0.0.${LISTEN_FIRST + i}`)
    const nameOf = (pm: { readonly name: string }) => pm.name
    let incomplete = 0
    const ours16 = async (): Promise<void> => {
      const outcomes = await dc.pms.dmap(nameOf).settled()
      if (outcomes.length !== NODES || outcomes.some(({ status }) => status !== 'value')) incomplete++
    }
    const theirs16 = async (): Promise<void> => {
      const { length } = await moleculer.callAll()
      if (length !== NODES) throw new Error(`${length} answers of ${NODES}`)
    }
    const times = await alternate(ROUNDS, {
      kumoi: () => timed(CALLS, ours16),
      moleculer: () => timed(CALLS, theirs16),
      erlang: () => erlang?.(CALLS) ?? Promise.resolve([]),
    })
    const ours = low(times.kumoi), theirs = low(times.moleculer), multicall = low(times.erlang)
    const erlangPeer: Peer = erlang === undefined ? { name: "Erlang's erpc:multicall", absent: ERLANG_ABSENT } : { name: "Erlang's erpc:multicall", ...multicall }
    const ratio = { p50: ours.p50 / multicall.p50, best: ours.best / multicall.best, count: ours.count }
    return [
      {
        name: 'fan-out', what: `fan-out of one closure to ${NODES} nodes, gathered`, toReach: 'p50 under Moleculer over TCP', unit: 'ms', ...ours,
        peers: [{ name: 'Moleculer (TCP)', ...theirs }, erlangPeer], reached: ours.p50 < theirs.p50 && incomplete === 0, why: incomplete === 0 ? WHY : `${incomplete} answers were not complete`, note: `p99 ${quantile(times.kumoi, 0.99).toFixed(2)} ms, ${incomplete} not complete`,
      },
      { name: 'fan-out-erlang', what: 'the same, as times of erpc:multicall', toReach: `<= ${TIMES_ERLANG}`, unit: 'times', ...ratio, peers: [], why: WHY, ...(erlang === undefined ? { note: ERLANG_ABSENT } : { reached: ratio.p50 <= TIMES_ERLANG }) },
    ]
  }),
}

if (import.meta.main) await standalone(bench)
