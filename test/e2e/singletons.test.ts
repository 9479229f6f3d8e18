// Singletons on real nodes: holders are killed (SIGKILL) and stopped past their lease and woken (SIGSTOP, SIGCONT), 50
// failovers and more in all. What each run does is a line in one file, appended by a program that an object's verb started
// (so each passed the gate and its fence), on a node of chance: the lines stand in the order in which they were done.
//
// The store is an etcd of its own, so that no node of the fabric is special.

import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { etcdAbsent, startEtcd } from '../support/etcd.ts'
import { linesOf, openLab, until } from '../support/fabric-lab.ts'
import type { Lab, LabNode } from '../support/fabric-lab.ts'

t.setTimeout(240_000)

const FUNCTIONS = 18
const FAILOVERS = 50
const names = Array.from({ length: FUNCTIONS }, (_, i) => `keeper-${i}`)

/** Acts on any machine that lives, deaf to being told to stop. */
const source = (name: string, file: string): string => `
import { defineFunction } from 'kumoi'
export default defineFunction({
  name: '${name}',
  trigger: { every: '2s' },
  rights: ['pm:read', 'pm:execute'],
  singleton: true,
  limits: { timeout: '20s' },
  async run({ pms, call }) {
    const all = await pms
    const pm = all[Math.floor(Math.random() * all.length)]
    await pm?.exec('sh', ['-c', 'echo "$0" >> ${file}', ['${name}', call.epoch, call.node].join(' ')], { timeoutMs: 3_000 })
  },
})
`

interface Line { readonly name: string; readonly epoch: number; readonly node: string }
const read = async (file: string): Promise<Line[]> => (await linesOf(file)).map((text) => {
  const [name = '', epoch = '', node = ''] = text.split(' ')
  return { name, epoch: Number(epoch), node }
})

async function deployAll(lab: Lab, node: LabNode, file: string): Promise<void> {
  const files = await Promise.all(names.map(async (name) => {
    const path = lab.dir(`${name}.ts`)
    await writeFile(path, source(name, file))
    return path
  }))
  const { status, stderr } = await lab.run(node, ['deploy', '--no-check', ...files])
  if (status !== 0) throw new Error(`kumoi deploy: ${stderr}`)
}

/** Who holds what now, as the fabric says. */
async function holders(lab: Lab, node: LabNode): Promise<Map<string, { readonly node: string; readonly epoch: number }>> {
  const rows = await (await lab.connect(node)).functions.list()
  return new Map(rows.flatMap(({ name, holder }) => holder === undefined ? [] : [[name, holder] as const]))
}

t.test('50 failovers: no epoch acts from two nodes, none after a newer one', { skip: etcdAbsent }, async (t) => {
  const lab = await openLab(t)
  const etcd = await startEtcd(t, 1)
  const file = lab.dir('effects')
  const nodes: LabNode[] = [await lab.up({ name: 'alpha', store: etcd.url })]
  const ticket = await lab.ticket(nodes[0] as LabNode)
  for (const name of ['beta', 'gamma']) nodes.push(await lab.up({ name, join: ticket }))
  await lab.settled(nodes)
  await deployAll(lab, nodes[0] as LabNode, file)
  await until('all functions act', async () => new Set((await read(file)).map(({ name }) => name)).size === FUNCTIONS, 60_000)

  let failovers = 0
  const tookMs: number[] = []
  for (let round = 0; failovers < FAILOVERS && round < 30; round++) {
    // The one that holds most, asked of another: nobody is spared.
    const held = await holders(lab, nodes[0] as LabNode)
    const countOf = (node: LabNode): number => [...held.values()].filter((holder) => holder.node === node.name).length
    const victim = nodes.reduce((most, node) => countOf(node) > countOf(most) ? node : most)
    const index = nodes.indexOf(victim)
    const survivor = nodes[(index + 1) % nodes.length] as LabNode
    const lost = [...held].filter(([, holder]) => holder.node === victim.name)
    const sinceMs = performance.now()
    if (round % 2 === 0) victim.signal('SIGSTOP')
    else await lab.kill(victim)
    await until(`everything that ${victim.name} held acts elsewhere`, async () => {
      const lines = await read(file)
      return lost.every(([name, { epoch }]) => lines.some((line) => line.name === name && line.epoch > epoch))
    }, 60_000)
    tookMs.push(Math.round(performance.now() - sinceMs))
    failovers += lost.length
    if (round % 2 === 0) victim.signal('SIGCONT')
    else nodes[index] = await lab.up({ name: victim.name, data: victim.data })
    await lab.sees(survivor, victim.name, 'alive')
    // The next survey is made by one that never stood still.
    nodes.unshift(...nodes.splice(nodes.indexOf(survivor), 1))
  }
  t.ok(failovers >= FAILOVERS, `${failovers} failovers, all functions acting elsewhere after ${tookMs.join(', ')} ms`)

  const lines = await read(file)
  const newest = new Map<string, number>()
  const actor = new Map<string, string>()
  const wrong: string[] = []
  for (const { name, epoch, node } of lines) {
    if (epoch < (newest.get(name) ?? 0)) wrong.push(`${name}: ${epoch} by ${node} after ${newest.get(name)}`)
    newest.set(name, Math.max(epoch, newest.get(name) ?? 0))
    const first = actor.get(`${name}#${epoch}`) ?? node
    if (first !== node) wrong.push(`${name}: ${epoch} by ${node} and ${first}`)
    actor.set(`${name}#${epoch}`, first)
  }
  t.same(wrong, [], `${lines.length} effects`)
})
