// Five whole nodes: how soon everybody knows of a SIGKILL and of a clean leave, and whether anybody is
// declared dead who is not, with one node stopped for 2 s at a time and 5 % of all packets lost.
// Loss is made by nftables on the loopback of a network namespace of its own.

import { spawnSync } from 'node:child_process'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DataCenter, MembershipEvent } from '../../kali/mod.ts'
import { Lab, until } from '../support/fabric-lab.ts'
import type { LabNode } from '../support/fabric-lab.ts'
import { openFabric } from './fabric.ts'
import { low, pause, quantile, standalone, withScope } from './figure.ts'
import type { Bench, Figure, Scope } from './figure.ts'

const NAMES = ['n1', 'n2', 'n3', 'n4', 'n5'] as const
const KILLS = 15
const LEAVES = 7
const CRASH_P50_MS = 2_000
const CRASH_P99_MS = 4_000
const LEAVE_MS = 1_000
const STALL_MS = 2_000
const LOSS_PERCENT = 5
const DEFAULT_MINUTES = 0.75
/** What the target asks: a shorter run without a death decides nothing. */
const STATED_MINUTES = 10
const GIVE_UP_MS = 30_000

interface Seen { readonly by: string; readonly type: MembershipEvent['type']; readonly about: string; readonly atMs: number }

/** What all nodes tell their shells, on one clock. */
class Watchers {
  readonly seen: Seen[] = []
  readonly #lab: Lab
  readonly #centers = new Map<string, { readonly dc: DataCenter; readonly stop: AbortController }>()
  constructor(lab: Lab) { this.#lab = lab }

  async watch(node: LabNode): Promise<void> {
    const dc = await this.#lab.connect(node, {}), stop = new AbortController()
    this.#centers.set(node.name, { dc, stop })
    void (async () => {
      for await (const { type, member } of dc.watchMembers(stop.signal)) this.seen.push({ by: node.name, type, about: member.id, atMs: performance.now() })
    })().catch(() => {})
  }

  async forget(node: LabNode): Promise<void> {
    const center = this.#centers.get(node.name)
    this.#centers.delete(node.name)
    center?.stop.abort()
    await center?.dc.close()
  }

  /** Milliseconds until the last of the others saw it. */
  async known(type: 'died' | 'left', about: string, others: readonly LabNode[], startMs: number): Promise<number> {
    const last = await until(`${type} known to all`, () => {
      const times = others.map(({ name }) => this.seen.find((seen) => seen.by === name && seen.type === type && seen.about === about && seen.atMs >= startMs)?.atMs)
      return times.every((time) => time !== undefined) ? Math.max(...times) : undefined
    }, GIVE_UP_MS)
    return last - startMs
  }

  async aliveInAllEyes(nodes: readonly LabNode[]): Promise<void> {
    for (const node of nodes) await until(`${node.name} sees all`, async () => {
      const rows = await this.#centers.get(node.name)?.dc.nodes({ timeoutMs: 500 })
      return rows !== undefined && nodes.every(({ info }) => rows.some((row) => row.id === info.id && row.state === 'alive'))
    })
  }
}

async function crashes(scope: Scope): Promise<Figure[]> {
  const { lab, ticket, nodes: started } = await openFabric(scope, NAMES)
  const nodes: LabNode[] = [...started]
  const watchers = new Watchers(lab)
  for (const node of nodes) await watchers.watch(node)
  await watchers.aliveInAllEyes(nodes)
  const times = { died: [] as number[], left: [] as number[] }
  for (let round = 0; round < KILLS + LEAVES; round++) {
    // Not always at the same phase of the probes.
    await pause(300 + Math.random() * 700)
    const at = round % nodes.length, type = round < KILLS ? 'died' : 'left'
    const victim = nodes[at] as LabNode, others = nodes.filter((node) => node !== victim)
    await watchers.forget(victim)
    const center = type === 'left' ? await lab.connect(victim, {}) : undefined
    const startMs = performance.now()
    const going = type === 'died' ? lab.kill(victim) : center?.down()
    times[type].push(await watchers.known(type, victim.info.id, others, startMs))
    await going
    await victim.gone
    nodes[at] = await lab.up({ name: victim.name, data: victim.data, listen: '127.0.0.1', join: ticket })
    await watchers.watch(nodes[at])
    await watchers.aliveInAllEyes(nodes)
  }
  const died = low(times.died), p99 = quantile(times.died, 0.99), left = low(times.left), slowest = Math.max(...times.left)
  return [
    { name: 'crash-p50', what: 'crash (SIGKILL) noticed by all, 5 nodes, p50', toReach: `<= ${CRASH_P50_MS} ms`, unit: 'ms', ...died, peers: [], reached: died.p50 <= CRASH_P50_MS },
    { name: 'crash-p99', what: 'the same, p99', toReach: `<= ${CRASH_P99_MS} ms`, unit: 'ms', p50: p99, best: died.best, count: died.count, peers: [], reached: p99 <= CRASH_P99_MS },
    { name: 'leave', what: 'clean leave known to all, slowest', toReach: `<= ${LEAVE_MS} ms`, unit: 'ms', p50: slowest, best: left.best, count: left.count, peers: [], reached: slowest <= LEAVE_MS, note: `p50 ${left.p50.toFixed(0)} ms` },
  ]
}

const ran = (file: string, args: readonly string[]): boolean => spawnSync(file, args, { stdio: 'ignore' }).status === 0

/** A namespace whose loopback loses packets at random; why not, when it cannot be had. */
function lossyNamespace(scope: Scope): { readonly name: string } | { readonly absent: string } {
  if (process.getuid?.() !== 0) return { absent: 'needs root' }
  if (!ran('sh', ['-c', 'command -v ip'])) return { absent: 'absent: apt-get install iproute2' }
  if (!ran('sh', ['-c', 'command -v nft'])) return { absent: 'absent: apt-get install nftables' }
  const name = `kumoi-bench-${process.pid}`
  if (!ran('ip', ['netns', 'add', name])) return { absent: 'network namespaces are refused here' }
  scope.defer(() => ran('ip', ['netns', 'delete', name]))
  const rules = `table inet loss { chain input { type filter hook input priority 0; numgen random mod 100 < ${LOSS_PERCENT} counter drop; }; }`
  const made = ran('ip', ['-n', name, 'link', 'set', 'lo', 'up']) && ran('ip', ['netns', 'exec', name, 'nft', rules])
  return made ? { name } : { absent: 'nftables is refused here' }
}

async function falseDeaths(scope: Scope, minutes: number): Promise<Figure> {
  const head = {
    name: 'false-deaths', what: `false deaths in ${minutes} minutes with ${LOSS_PERCENT} % loss and one node's process stopped ${STALL_MS / 1_000} s at a time, 5 nodes`,
    toReach: 'none (in 10 minutes)', unit: 'deaths', peers: [],
  } as const
  const namespace = lossyNamespace(scope)
  if ('absent' in namespace) return { ...head, p50: NaN, best: NaN, count: 0, note: namespace.absent }
  const lab = new Lab(await mkdtemp(join(tmpdir(), 'kumoi-bench-')))
  scope.defer(() => lab.close())
  const first = await lab.up({ name: NAMES[0], namespace: namespace.name })
  const ticket = await lab.ticket(first)
  const nodes = [first]
  for (const name of NAMES.slice(1)) nodes.push(await lab.up({ name, namespace: namespace.name, join: ticket }))
  const watchers = new Watchers(lab)
  for (const node of nodes) await watchers.watch(node)
  await watchers.aliveInAllEyes(nodes)
  const startMs = performance.now()
  let stalls = 0
  while (performance.now() - startMs < minutes * 60_000) {
    const victim = nodes[1 + stalls % (nodes.length - 1)] as LabNode
    victim.signal('SIGSTOP')
    await pause(STALL_MS)
    victim.signal('SIGCONT')
    await pause(STALL_MS)
    stalls++
  }
  const since = watchers.seen.filter(({ atMs }) => atMs >= startMs)
  const deaths = since.filter(({ type }) => type === 'died').length, suspicions = since.filter(({ type }) => type === 'suspected').length
  const loss = spawnSync('ip', ['netns', 'exec', namespace.name, 'nft', 'list', 'ruleset'], { encoding: 'utf8' }).stdout
  const dropped = /packets (\d+)/.exec(loss)?.[1] ?? '?'
  return { ...head, p50: deaths, best: deaths, count: stalls, ...(deaths > 0 || minutes >= STATED_MINUTES ? { reached: deaths === 0 } : {}), note: `${minutes >= STATED_MINUTES ? '' : `too short, wants --minutes ${STATED_MINUTES}; `}${stalls} stalls, ${suspicions} suspicions, ${dropped} packets dropped`, why: `${deaths} deaths seen in ${stalls} stalls` }
}

export const bench: Bench = {
  name: 'crash',
  run: async ({ minutes }) => [
    ...await withScope(crashes),
    await withScope((scope) => falseDeaths(scope, minutes ?? DEFAULT_MINUTES)),
  ],
}

if (import.meta.main) await standalone(bench)
