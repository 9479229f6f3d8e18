// How soon a singleton acts again when the node that held it is killed: three real nodes, the store at the founder, singletons
// that tick every second. Counted from SIGKILL to the first effect in a newer epoch, for each function that the node held.

import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Lab, linesOf, until } from '../support/fabric-lab.ts'
import type { LabNode } from '../support/fabric-lab.ts'
import { low, quantile, standalone, withScope } from './figure.ts'
import type { Bench } from './figure.ts'

const FUNCTIONS = 12
const KILLS = 3
const ACTS_MS = 7_000
const names = Array.from({ length: FUNCTIONS }, (_, i) => `keeper-${i}`)

const source = (name: string, file: string): string => `
import { defineFunction } from 'kumoi'
export default defineFunction({
  name: '${name}', trigger: { every: '1s' }, rights: ['pm:read', 'pm:execute'], singleton: true,
  async run({ pms, call }) {
    const pm = (await pms).find((one) => one.name === call.node)
    await pm?.exec('sh', ['-c', 'echo "$0" >> ${file}', ['${name}', call.epoch].join(' ')])
  },
})
`

export const bench: Bench = {
  name: 'functions-failover',
  run: () => withScope(async (scope) => {
    const lab = new Lab(await mkdtemp(join(tmpdir(), 'kumoi-bench-failover-')))
    scope.defer(() => lab.close())
    const [founder, ...others] = await lab.fabric(['n1', 'n2', 'n3'])
    if (founder === undefined) throw new Error('no fabric')
    const file = lab.dir('effects')
    const files = await Promise.all(names.map(async (name) => {
      const path = lab.dir(`${name}.ts`)
      await writeFile(path, source(name, file))
      return path
    }))
    const { status, stderr } = await lab.run(founder, ['deploy', '--no-check', ...files])
    if (status !== 0) throw new Error(stderr)
    const newest = async (): Promise<Map<string, number>> => new Map((await linesOf(file)).map((line) => { const [name = '', epoch] = line.split(' '); return [name, Number(epoch)] }))
    await until('all functions act', async () => (await newest()).size === FUNCTIONS, 60_000)

    const times: number[] = []
    for (let kill = 0; kill < KILLS; kill++) {
      const held = (await (await lab.connect(founder)).functions.list()).flatMap(({ name, holder }) => holder === undefined ? [] : [{ name, ...holder }])
      const heldBy = (node: LabNode): typeof held => held.filter((one) => one.node === node.name)
      // The founder has the store; what it took over stays with it.
      const victim = others.toSorted((a, b) => heldBy(b).length - heldBy(a).length)[0]
      if (victim === undefined || heldBy(victim).length === 0) break
      const startMs = performance.now()
      await lab.kill(victim)
      const waiting = new Map(heldBy(victim).map(({ name, epoch }) => [name, epoch]))
      await until('the others act', async () => {
        for (const [name, epoch] of await newest()) if (epoch > (waiting.get(name) ?? Infinity)) { waiting.delete(name); times.push(performance.now() - startMs) }
        return waiting.size === 0
      }, 60_000)
      others[others.indexOf(victim)] = await lab.up({ name: victim.name, data: victim.data })
    }
    return [{
      name: 'functions-failover', what: 'singleton whose holder is killed (lease 5 s): the next tick acts', toReach: `<= ${ACTS_MS / 1_000} s`, unit: 'ms', ...low(times), peers: [],
      reached: quantile(times, 1) <= ACTS_MS, why: 'the slowest counts', note: `slowest ${Math.round(Math.max(...times))} ms; ticks every second`,
    }]
  }),
}

if (import.meta.main) await standalone(bench)
