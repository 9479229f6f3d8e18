// A scheduler and a policy of a user's own, from the files that kali/policies/examples has, on three real processes with
// simulated machines: simulated, deployed by the shell, seen at work; and what becomes of a scheduler that is wrong.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { DataCenter } from '../../kali/mod.ts'
import type { VM } from '../../rmo/mod.ts'
import { openLab, until } from '../support/fabric-lab.ts'
import { writeSource } from '../support/deployed-lab.ts'

t.setTimeout(120_000)
const BOUND_MS = 45_000
const examples = join(import.meta.dirname, '..', '..', 'kali', 'policies', 'examples')

const lab = await openLab(t)
const first = await lab.up({ name: 'web1', driver: 'memory' })
const ticket = await lab.ticket(first)
const nodes = [first, ...await Promise.all(['web2', 'db1'].map((name) => lab.up({ name, join: ticket, driver: 'memory' })))]
await lab.settled(nodes)
const dc: DataCenter = await lab.connect(first)
const { global, pms } = dc

const done = async (...args: readonly string[]): Promise<string> => {
  const { status, stdout, stderr } = await lab.run(first, args)
  if (status !== 0) throw new Error(`kumoi ${args.join(' ')}: ${stderr}`)
  return stdout
}
const codeOf = (error: unknown): unknown => (error as { readonly code?: unknown }).code
const failure = async (work: PromiseLike<unknown>): Promise<Error> => {
  try { await work } catch (error) { return error as Error }
  throw new Error('it was to fail')
}
const example = async (name: string): Promise<string> => writeSource(lab, `${name}.ts`, await readFile(join(examples, `${name}.ts`), 'utf8'))
const vm = (name: string, labels: Readonly<Record<string, string>> = {}): Promise<VM> => Promise.resolve(dc.global.pools.at(0).createVM({ name, memoryMiB: 64, vcpus: 1, image: 'guest', labels }))

t.test('its scheduler is simulated and deployed, and places as it says', async (t) => {
  const file = await example('tiers')
  const { cloud } = JSON.parse(await done('--json', 'simulate', '--no-check', file, '--pools', '1', '--scheduler', 'tiers', '--group', '2', '--hosts', '3', '--vms-per-host', '1', '--for', '1m')) as { readonly cloud: { readonly pools: readonly object[] } }
  t.match(cloud.pools, [{ name: 'pool1', machines: 3, vms: 4, scheduler: 'function:tiers' }], 'the original of the group was placed by it')
  await done('deploy', '--no-check', file)
  await global.add(await global.createPool({ name: 'p', policies: [], cpuOvercommitRatio: 4, scheduler: 'function:tiers' }))
  const pool = dc.global.pools.at(0)
  await pool.add(pms.filter((pm) => pm.name.length > 0))
  const db = await vm('orders', { tier: 'db' }), web = await vm('shop', { tier: 'web' })
  await pool.add([db, web])
  t.equal(db.host, 'db1', 'which has no more room than the others')
  t.match(web.host, /^web/)
  const why = await pool.why(db)
  const placed = why.decisions.find(({ choice }) => choice !== undefined)
  t.equal(placed?.choice?.scheduler, 'tiers', 'why() names the scheduler')
  t.equal(placed?.choice?.ranked.length, 3, 'and all that it answered')
  t.equal(why.placement?.scheduler, 'tiers')
})

t.test('a scheduler that throws, answers nonsense or never ends places nothing, and says which line', async (t) => {
  const pool = dc.global.pools.at(0)
  const file = await writeSource(lab, 'strict.ts', `import { defineScheduler } from 'kumoi'

export default defineScheduler({
  name: 'strict',
  schedule(vm, pms) {
    if (vm.labels['owner'] === undefined) throw new RangeError('a VM needs an owner')
    return vm.labels['owner'] === 'nobody' ? 'the moon' : pms[0]
  },
})
`)
  await done('deploy', '--no-check', file)
  pool.scheduler = 'function:strict'
  await dc.settled()
  const thrown = await failure(pool.add(await vm('a')))
  t.equal(codeOf(thrown), 'KALI_ERR_SCHEDULER_FAILED')
  t.match(thrown.message, /The scheduler strict failed for a: RangeError: a VM needs an owner \([^)]*strict\.ts:6:\d+/, 'the line of the file that was deployed')
  const nonsense = await failure(pool.add(await vm('b', { owner: 'nobody' })))
  t.match(nonsense.message, /it answered "the moon", which is no machine of the pool/)
  await pool.add(await vm('c', { owner: 'me' }))

  pool.scheduler = function endless() { for (;;); }
  await dc.settled()
  const endless = await failure(pool.add(await vm('d')))
  t.equal(codeOf(endless), 'KALI_ERR_SCHEDULER_FAILED')
  pool.scheduler = function picky(vm) {
    throw new RangeError(`not ${vm.name}`)
  }
  await dc.settled()
  const picky = await failure(pool.add(await vm('e')))
  t.match(picky.message, /The scheduler picky failed for e: RangeError: not e \(.*throw new RangeError\(`not \$\{vm\.name\}`\)/, 'the line as it was written')
  const names = new Set((await pool.vms).map(({ name }) => name))
  t.same([...names].sort(), ['c', 'orders', 'shop'], 'nothing was placed')
  const decisions = await pool.decisions()
  t.ok(decisions.some(({ outcome, reason }) => outcome === 'refused' && reason.includes('a VM needs an owner')), 'the journal has the refusal')
})

t.test('its policy is deployed, and acts on the pool that names it', async (t) => {
  const pool = dc.global.pools.at(0)
  const text = (await readFile(join(examples, 'night-shift.ts'), 'utf8')).replace("every: '30s'", "every: '1s'").replace('hour >= 8 && hour < 18', 'true')
  await done('deploy', '--no-check', await writeSource(lab, 'night-shift.ts', text))
  pool.scheduler = 'packing'
  pool.policies = ['night-shift']
  await dc.settled()
  const front = await vm('front')
  await pool.add(front)
  await pool.add(pool.createElasticity(front, { out: 0.8, in: 0.3, min: 1, max: 3, warmUpMs: 1_000 }))
  await until('the group has as many members as it may', async () => (await dc.elasticities)[0]?.membersCount === 3, BOUND_MS)
  const group = (await dc.elasticities)[0]
  const { decisions } = await pool.why(group)
  const grown = decisions.filter(({ policy, action, outcome }) => policy === 'night-shift' && action === 'grow' && outcome === 'done')
  t.equal(grown.length, 2, 'why() says who made the others')
  t.match(grown[0]?.reason, /front-group-[12] on \w+: \d+ o'clock: 3 members/)
  t.ok(grown.every(({ choice }) => choice?.scheduler === 'packing'))
})
