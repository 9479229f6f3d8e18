// Deployed functions on a replicated store: three etcd members, three nodes; a member, then the founder node, are killed for good
// and everything goes on. Then the move of a founder's own store into that etcd while calls run.

import t from 'tap'
import { append, deploySource, RIGHTS } from '../support/deployed-lab.ts'
import { etcdAbsent, startEtcd } from '../support/etcd.ts'
import { linesOf, openLab, until, within } from '../support/fabric-lab.ts'
import type { LabNode } from '../support/fabric-lab.ts'

t.setTimeout(240_000)
const BOUND_MS = 40_000
/** Appends "epoch node" from where it runs, each half second, one at a time in the fabric. */
const beating = (file: string, node: string): string => `trigger: { every: '500ms' }, singleton: true, ${RIGHTS}, async run({ pms, call }) { ${append(file, `call.epoch + ' ' + call.node`, node)} }`
const answers = (version: string): string => `run: (_context, n) => ['${version}', n]`

t.test('etcd', { skip: etcdAbsent }, async (t) => {
  const lab = await openLab(t)
  const etcd = await startEtcd(t, 3)

  t.test('a member of the store killed, then the founder: deploys, calls and singletons go on', async (t) => {
    const beats = lab.dir('beats'), made = lab.dir('made')
    const alpha = await lab.up({ name: 'alpha', store: etcd.url })
    const ticket = await lab.ticket(alpha)
    const [beta, gamma] = await Promise.all(['beta', 'gamma'].map((name) => lab.up({ name, join: ticket }))) as [LabNode, LabNode]
    await lab.settled([alpha, beta, gamma])
    const dc = await lab.connect(beta)
    t.match(await dc.store.status(), { kind: 'etcd', reachable: true })
    const beat = async (what: string): Promise<void> => {
      const count = (await linesOf(beats)).length
      await until(what, async () => (await linesOf(beats)).length > count + 2, BOUND_MS)
    }
    const put = (from: number): Promise<string[]> => Promise.all(Array.from({ length: 10 }, (_, n) => dc.functions.enqueue('note', from + n)))
    const allMade = (upTo: number): Promise<unknown> => until('all acknowledged calls are made', async () => { const seen = new Set((await linesOf(made)).map(Number)); return Array.from({ length: upTo }, (_, n) => n).every((n) => seen.has(n)) }, BOUND_MS)

    await deploySource(lab, await lab.connect(alpha), 'beat', beating(beats, 'gamma'))
    await deploySource(lab, dc, 'note', `${RIGHTS}, async run({ pms }, n) { ${append(made, 'String(n)', 'gamma')} }`)
    await deploySource(lab, dc, 'plain', answers('one'))
    await beat('it beats')
    await put(0)

    await etcd.kill(0)
    await deploySource(lab, dc, 'plain', answers('two'))
    t.same(await dc.fn('plain')(1), ['two', 1], 'deployed with two members')
    await beat('it beats with two members')
    await put(10)
    await etcd.start(0)

    await lab.kill(alpha)
    await lab.sees(beta, 'alpha', 'dead', 'gone')
    await deploySource(lab, dc, 'plain', answers('three'))
    for (const node of [beta, gamma]) t.same(await (await lab.connect(node)).fn('plain')(2), ['three', 2], `deployed without the founder, at ${node.name}`)
    await beat('it beats without the founder')
    await put(20)
    await allMade(30)
    t.same((await dc.functions.rollback('plain')).history.length > 0, true)
    t.same(await dc.fn('plain')(3), ['two', 3])

    let newest = 0
    const actors = new Map<number, string>()
    for (const line of await linesOf(beats)) {
      const [epoch = 0, node = ''] = [Number(line.split(' ')[0]), line.split(' ')[1]]
      if (epoch < newest) t.fail(`epoch ${epoch} acted after ${newest}`)
      if ((actors.get(epoch) ?? node) !== node) t.fail(`epoch ${epoch} acted on ${node} and ${actors.get(epoch)}`)
      newest = epoch
      actors.set(epoch, node)
    }
    for (const node of [beta, gamma]) await lab.down(node)
  })

  t.test('kumoi store copy, from the founder to etcd, while calls run', async (t) => {
    const made = lab.dir('made-moving')
    const delta = await lab.up({ name: 'delta' })
    const epsilon = await lab.up({ name: 'epsilon', join: await lab.ticket(delta) })
    await lab.settled([delta, epsilon])
    const dc = await lab.connect(epsilon)
    await deploySource(lab, dc, 'plain', answers('one'))
    await deploySource(lab, dc, 'note', `${RIGHTS}, async run({ pms }, n) { ${append(made, 'String(n)', 'epsilon')} }`)
    await deploySource(lab, dc, 'count', `async run({ state }) { return state.update('n', (n) => (n ?? 0) + 1) }`)
    let over = false
    const failed: string[] = []
    const kept: number[] = [], counted: number[] = []
    const running = Promise.all([
      (async () => { for (let n = 0; !over; n++) await dc.fn('plain')(n).then((answer) => { if (String(answer) !== `one,${n}`) failed.push(String(answer)) }, (error: unknown) => failed.push(String(error))) })(),
      (async () => { for (let n = 0; !over; n++) await dc.functions.enqueue('note', n).then(() => kept.push(n), (error: unknown) => failed.push(String(error))) })(),
      (async () => { while (!over) await dc.fn('count')().then((n) => counted.push(n as number), (error: unknown) => failed.push(String(error))) })(),
    ])
    await until('calls run', () => kept.length > 5 && counted.length > 5)
    const { status, stdout, stderr } = await within('the copy', BOUND_MS, lab.run(delta, ['store', 'copy', etcd.url]))
    t.equal(status, 0, stderr)
    t.match(stdout, /keys copied; the store is etcd/)
    const before = [kept.length, counted.length] as const
    await until('changes go on', () => kept.length > before[0] + 5 && counted.length > before[1] + 5, BOUND_MS)
    over = true
    await within('what was under way', BOUND_MS, running)
    t.same(failed.slice(0, 3), [], `${failed.length} failed; ${kept.length} calls kept, ${counted.length} counted`)
    t.same(counted, counted.map((_, at) => at + 1), 'no count is lost or double')
    await until('all acknowledged calls are made', async () => { const seen = new Set((await linesOf(made)).map(Number)); return kept.every((n) => seen.has(n)) }, BOUND_MS)
    t.match(await dc.store.status(), { kind: 'etcd', reachable: true })

    await lab.kill(delta)
    await lab.sees(epsilon, 'delta', 'dead', 'gone')
    await deploySource(lab, dc, 'plain', answers('two'))
    t.same(await dc.fn('plain')(0), ['two', 0], 'the founder is not needed any more')
  })
})
