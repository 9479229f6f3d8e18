// From a built bundle to "ready on all nodes": 8 whole nodes, each a process with its sandbox, a script of 100 KB. Ready is a node
// that has seen the record and has an isolate linked to the version.

import { LIMITS } from '../../fabric/base.ts'
import { openFabric } from './fabric.ts'
import { low, standalone, timed, withScope } from './figure.ts'
import type { Bench } from './figure.ts'
import { bundler } from './functions.ts'

const NODES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'] as const
const COUNT = 15
const READY_MS = 1_000
const FILLER = 'x'.repeat(100_000)

const source = (version: number): string => `
import { defineFunction } from 'kumoi'
const filler = '${FILLER}'
export default defineFunction({ name: 'bench', run: () => filler.length + ${version} })
`

export const bench: Bench = {
  name: 'functions-deploy',
  run: () => withScope(async (scope) => {
    const [{ dc }, build] = await Promise.all([openFabric(scope, NODES), bundler(scope)])
    /** Milliseconds until it said that all are ready; undefined: some were not, in its time. */
    const deploy = async (version: number): Promise<number | undefined> => {
      const bundle = await build(source(version))
      let all = false
      const [ms] = await timed(1, async () => { all = (await dc.functions.deploy(bundle)).ready.length === NODES.length })
      return all ? ms : undefined
    }
    // The first one finds no cell of its deployer anywhere.
    const first = await deploy(0)
    const times: number[] = []
    let late = 0
    for (let version = 1; version <= COUNT; version++) {
      const ms = await deploy(version)
      if (ms === undefined) late++
      times.push(ms ?? LIMITS.deployReadyMs)
    }
    const spread = low(times)
    return [{
      name: 'functions-deploy', what: `deploy to ready on ${NODES.length} nodes of this machine, script of 100 KB`, toReach: `<= ${READY_MS / 1_000} s`, unit: 'ms', ...spread, peers: [],
      reached: spread.p50 <= READY_MS, note: `the first one, which starts a cell on each node, ${first === undefined ? 'was not ready everywhere in its time' : `${first.toFixed(0)} ms`}; of the others ${late} were not`,
      why: `${NODES.length} nodes and as many cells share two cores with whatever else runs`,
    }]
  }),
}

if (import.meta.main) await standalone(bench)
