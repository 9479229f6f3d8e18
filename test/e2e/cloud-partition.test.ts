// A protected VM under partitions of the network: never two running copies, and back within the bound when somebody may take
// it. Four nodes in network namespaces (store, three hosts with simulated machines), parted by putting their cables into
// another bridge, so that frames are lost and nothing is reset. CYCLES=20 for more rounds than one of each kind.
//
//   alone   the VM's host from all others:          fenced there, taken over elsewhere
//   side    it and another host from the store:     it goes on, as two of three are cut off: the third cannot take it (voters.ts)
//   outage  the store's node from all hosts:        it goes on, as all hosts are cut off
//   flap    its host, for less than the give-up age: nothing happens
//
// What runs is read from the files of the simulated machines, not from nodes that may be cut off.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { DataCenter } from '../../kali/mod.ts'
import type { VM } from '../../rmo/mod.ts'
import { openLab, until } from '../support/fabric-lab.ts'
import type { LabNode } from '../support/fabric-lab.ts'

const PREFIX = 'kcp'
const NAMES = ['store', 'h1', 'h2', 'h3'] as const
const CYCLES = Number(process.env['CYCLES'] ?? 1)
const KINDS = ['alone', 'outage', 'side', 'flap'] as const
/** One of the two that matter most, when it has to be short. */
const ROUNDS = CYCLES === 1 ? KINDS.slice(0, 2) : Array.from({ length: CYCLES }, (_, at) => KINDS[at % KINDS.length] ?? 'alone')
/** Lease, noticing, and a busy machine. */
const BOUND_MS = 60_000
/** Longer than the lease: somebody could take it by then, if they might. */
const OUTAGE_MS = 25_000
/** Shorter than the give-up age. */
const FLAP_MS = 4_000
const SAMPLE_MS = 100

const ip = (...argv: string[]): string => execFileSync('ip', argv, { stdio: ['ignore', 'pipe', 'pipe'] }).toString()
const quietly = (...argv: string[]): void => { try { ip(...argv) } catch { /* it was not there */ } }
const obstacle = ((): string | undefined => {
  if (process.getuid?.() !== 0) return 'needs root (network namespaces)'
  try {
    ip('netns', 'add', `${PREFIX}-try`)
    ip('netns', 'del', `${PREFIX}-try`)
    return undefined
  } catch {
    return 'absent: ip with network namespaces'
  }
})()
function removeMachines(): void {
  for (const name of NAMES) { quietly('netns', 'del', `${PREFIX}-${name}`); quietly('link', 'del', `${PREFIX}-v${name}`) }
  for (const side of ['a', 'b']) quietly('link', 'del', `${PREFIX}-${side}`)
}
function buildMachines(): void {
  for (const side of ['a', 'b']) { ip('link', 'add', `${PREFIX}-${side}`, 'type', 'bridge'); ip('link', 'set', `${PREFIX}-${side}`, 'up') }
  NAMES.forEach((name, at) => {
    ip('netns', 'add', `${PREFIX}-${name}`)
    ip('link', 'add', `${PREFIX}-v${name}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', `${PREFIX}-${name}`)
    ip('link', 'set', `${PREFIX}-v${name}`, 'master', `${PREFIX}-a`, 'up')
    ip('-n', `${PREFIX}-${name}`, 'link', 'set', 'lo', 'up')
    ip('-n', `${PREFIX}-${name}`, 'addr', 'add', `10.92.0.${at + 1}/24`, 'dev', 'eth0')
    ip('-n', `${PREFIX}-${name}`, 'link', 'set', 'eth0', 'up')
  })
}
/** These on one side, the others on the other; none: whole again. */
const part = (...names: readonly string[]): void => { for (const name of NAMES) ip('link', 'set', `${PREFIX}-v${name}`, 'master', `${PREFIX}-${names.includes(name) ? 'b' : 'a'}`) }

interface Domains { readonly domains: readonly { readonly settings: { readonly name: string }; readonly guest?: object }[] }
const lives = (pid: number): boolean => { try { return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')) } catch { return false } }
/** A simulated guest ends with its node's process. */
function runsIn(node: LabNode, vm: string): boolean {
  const file = join(node.data, 'host', 'simulated.json')
  // Written when it has its first machine.
  if (!lives(node.pid) || !existsSync(file)) return false
  const { domains } = JSON.parse(readFileSync(file, 'utf8')) as Domains
  return domains.some(({ settings, guest }) => settings.name === vm && guest !== undefined)
}

t.setTimeout(120_000 + CYCLES * 60_000)
t.test('partitions', { skip: obstacle ?? false }, async (t) => {
  removeMachines()
  t.teardown(removeMachines)
  buildMachines()
  const lab = await openLab(t)
  lab.beforeRemoval(removeMachines)
  const up = (name: typeof NAMES[number], ticket?: string): Promise<LabNode> =>
    lab.up({ name, driver: 'memory', namespace: `${PREFIX}-${name}`, listen: `10.92.0.${NAMES.indexOf(name) + 1}`, ...(ticket === undefined ? {} : { join: ticket }) })
  const store = await up('store')
  const ticket = await lab.ticket(store)
  const hosts: LabNode[] = []
  for (const name of ['h1', 'h2', 'h3'] as const) hosts.push(await up(name, ticket))
  await lab.settled([store, ...hosts])
  const dc: DataCenter = await lab.connect(store)
  const pool = await dc.global.createPool({ name: 'pool1' })
  await dc.global.add(pool)
  await pool.add(dc.pms.filter((pm) => pm.name.startsWith('h')))
  const vm: VM = await pool.createVM({ name: 'db', memoryMiB: 128, vcpus: 1, image: 'guest' })
  await pool.add(vm)
  await pool.add(pool.createHighAvailability(vm))

  const running = (): readonly string[] => hosts.filter((node) => runsIn(node, 'db')).map(({ name }) => name)
  let before: readonly string[] = []
  const doubles: string[] = []
  const sampler = setInterval(() => {
    const now = running()
    // A copy that ends between two reads is none: seen twice, it is one.
    if (now.length > 1 && before.length > 1) doubles.push(`${new Date().toISOString()} ${now.join(' and ')}`)
    before = now
  }, SAMPLE_MS)
  t.teardown(() => clearInterval(sampler))

  const isProtected = (): Promise<unknown> => until('db is protected', async () => (await dc.highAvailabilities).find(({ name }) => name === 'db')?.state === 'protected', BOUND_MS)
  const elsewhere = (allowed: readonly string[]): Promise<string> => until(`db runs on ${allowed.join(' or ')}`, () => { const [only, ...more] = running(); return more.length === 0 && only !== undefined && allowed.includes(only) ? only : undefined }, BOUND_MS)
  const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })
  const why = async (): Promise<void> => { t.comment(JSON.stringify(await dc.global.pools.at(0).why('db'), null, 1)) }

  for (const [at, kind] of ROUNDS.entries()) {
    await t.test(`${at + 1}: ${kind}`, async (t) => {
      await dc.global.pools.at(0).clear(vm)
      await isProtected()
      const host = await elsewhere(['h1', 'h2', 'h3'])
      const others = hosts.map(({ name }) => name).filter((name) => name !== host)
      // Who was away until now is a voter from the host's next renewal on.
      await pause(FLAP_MS)
      const beganMs = performance.now()
      try {
        if (kind === 'alone') {
          part(host)
          const after = await elsewhere(others)
          t.pass(`${host} -> ${after} after ${Math.round(performance.now() - beganMs)} ms`)
        } else if (kind === 'outage' || kind === 'side') {
          part(...kind === 'outage' ? ['store'] : [host, ...others.slice(0, 1)])
          await pause(OUTAGE_MS)
          t.same(running(), [host], 'it goes on')
        } else {
          part(host)
          await pause(FLAP_MS)
          t.same(running(), [host], 'it runs where it was')
        }
      } catch (error) { part(); await why(); throw error }
      part()
      await lab.settled([store, ...hosts])
      if (kind !== 'alone') {
        await isProtected()
        await pause(FLAP_MS)
        t.same(running(), [host], 'nobody has taken it')
      }
      t.same(doubles, [], 'never two running copies')
    })
  }
})
