// A round of a policy over pools, the bundles that are deployed of the delivered ones and the examples, and when they are.

import t, { test } from 'tap'
import { buildBundle } from '../../../functions/mod.ts'
import type { ActRequest, Decide, PolicyMemory, PoolSnapshot } from '../../../kali/cloud/contract.ts'
import { DELIVERED_POLICIES, ensurePolicies, policyFile } from '../../../kali/policies/deploy.ts'
import type { EnsureOptions } from '../../../kali/policies/deploy.ts'
import { delivered, policyFunction, policyRound, revisionOf, POLICY_REVISION } from '../../../kali/policies/policy.ts'
import type { PolicyContext, PolicyPool, PolicyReport } from '../../../kali/policies/policy.ts'
import { loadHere, packageRoot } from '../../support/bundles.ts'
import { machine, pending, snapshot } from '../../support/pool-snapshots.ts'

/** As it comes over an edge: what counts is the code. */
const coded = (code: string, message: string): Error => Object.assign(new Error(message), { code })

interface FakePool extends PolicyPool { readonly requests: ActRequest[]; record: { round: number; memory: unknown } | undefined }
function fakePool(name: string, of: Partial<PoolSnapshot> = {}, policies: readonly string[] = ['p']): FakePool {
  const now = snapshot(of)
  return {
    name, uuid: name, requests: [], record: undefined,
    async snapshot() { return { ...now, pool: { ...now.pool, policies } } },
    async memory() { return this.record },
    async act(request) {
      if (request.round !== (this.record?.round ?? 0)) throw coded('KALI_ERR_CHANGED', 'another round was first')
      this.requests.push(request)
      // As the store keeps it: plain data, keys in another order.
      this.record = { round: request.round + 1, memory: JSON.parse(JSON.stringify(request.memory, (_, value: unknown) => (typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).reverse()) : value))) as unknown }
      return { round: request.round + 1, results: request.proposals.map(() => ({ outcome: 'done' as const, reason: '' })) }
    },
  }
}
const context = (pools: readonly PolicyPool[], warnings: string[] = []): PolicyContext => ({ pools: Promise.resolve(pools), log: { info() {}, warn: (text, fields) => { warnings.push(`${text} ${String(fields?.['pool'])}`) } } })
const counting: Decide<{ readonly rounds: number; readonly drawn?: number }> = ({ memory, random }) =>
  ({ proposals: [], memory: { rounds: Math.min(2, (memory?.rounds ?? 0) + 1), drawn: random() }, notes: { x: { a: 1, b: undefined } } })
const quiet: Decide<{ readonly rounds: number }> = ({ memory }) => ({ proposals: [], memory: { rounds: Math.min(2, (memory?.rounds ?? 0) + 1) }, notes: { x: { a: 1, b: undefined } } })

test('a round: memory and notes are kept by round, what is as before is not written', async (t) => {
  const pool = fakePool('one')
  for (let i = 0; i < 5; i++) await policyRound('p', quiet, pool)
  t.same(pool.requests.map(({ round, memory }) => [round, (memory as PolicyMemory<{ readonly rounds: number }>).memory.rounds]), [[0, 1], [1, 2]])
  t.same((pool.record?.memory as PolicyMemory).notes, { x: { a: 1 } })
  t.equal(await policyRound('other', quiet, pool), undefined, 'a pool that does not name it is left alone')
  const drawn = async (): Promise<unknown> => { const other = fakePool('one'); await policyRound('p', counting, other); return other.requests[0]?.memory }
  t.same(await drawn(), await drawn(), 'the same round draws the same')
})

test('pools: one that fails does not stop the others, one that another round took is no failure', async (t) => {
  const warnings: string[] = []
  const well = fakePool('well'), taken = fakePool('taken'), ill = { ...fakePool('ill'), snapshot: async () => { throw coded('FABRIC_ERR_STORE_AWAY', 'away') } }
  taken.memory = async () => ({ round: 7, memory: null })
  const { run, singleton, trigger, rights } = policyFunction('p', quiet, { description: 'd' })
  t.same([singleton, trigger, rights], [true, { every: '1s' }, ['pool:read', 'pool:operate']])
  t.same(await run(context([ill, taken, well], warnings), undefined), { pools: 1, done: 0, refused: 0, failed: 1 })
  t.same(warnings, ['a pool could not be seen to ill'])
  t.equal(well.requests.length, 1)
  await t.rejects(async () => run(context([ill]), undefined), { code: 'FABRIC_ERR_STORE_AWAY' }, 'failing everywhere is a failure')
  t.same(await run(context([]), undefined), { pools: 0, done: 0, refused: 0, failed: 0 })
})

const EXAMPLES = ['scheduled', 'predictive'].map((name) => [name, new URL(`../../../kali/policies/examples/${name}.ts`, import.meta.url).pathname] as const)

test('the delivered policies and the examples are bundles that run', async (t) => {
  for (const [name, file] of [...DELIVERED_POLICIES.map((name) => [name, policyFile(name) ?? ''] as const), ...EXAMPLES]) {
    const { script } = await buildBundle({ file, types: 'skip', packageRoot })
      const { definition } = loadHere(script)
    const pool = fakePool('one', { machines: [machine('a')], vms: [pending('w')] }, [name])
    const report = await definition.run(context([pool])) as PolicyReport
    t.equal(report.pools, 1, name)
    if (name === 'kali-ha') t.same(pool.requests[0]?.proposals.map(({ action }) => action), [{ do: 'place', vm: 'v-w' }])
  }
})

test('delivered policies are deployed when missing or older, and what a user deployed is his', async (t) => {
  const built: string[] = [], generations: (number | undefined)[] = []
  type Row = Awaited<ReturnType<EnsureOptions['list']>>[number]
  const row = (name: string, by: string, description: string, generation = 4): Row => {
    const manifest = { name, description, version: 'ab'.repeat(32) } as unknown as Row['manifest']
    return { name, manifest, record: { generation } as unknown as Row['record'], versions: [{ manifest, by } as unknown as Row['versions'][number]] }
  }
  const ensure = (names: readonly string[], rows: readonly Row[], deploy: () => Promise<unknown> = async () => undefined): ReturnType<typeof ensurePolicies> => ensurePolicies({
    names, packageRoot, as: 'kali', list: async () => rows,
    build: async ({ file }) => { built.push(file.split('/').at(-1) ?? ''); return { script: new Uint8Array(0), sourceMap: new Uint8Array(0), packages: [], files: [], warnings: [] } },
    deploy: async (_, { generation }) => { generations.push(generation); return deploy() },
  })
  t.same(await ensure(['kali-ha', 'kali-ha', 'kali-elasticity', 'mine'], []), { 'kali-ha': 'new', 'kali-elasticity': 'new', 'mine': 'unknown' })
  t.same([built.splice(0), generations.splice(0)], [['ha.ts', 'elasticity.ts'], [0, 0]])
  const old = delivered('x').replace(String(POLICY_REVISION), String(POLICY_REVISION - 1)), later = delivered('x').replace(String(POLICY_REVISION), String(POLICY_REVISION + 1))
  t.same(await ensure(['kali-ha'], [row('kali-ha', 'kali', old)]), { 'kali-ha': 'renewed' })
  t.same([built.splice(0), generations.splice(0)], [['ha.ts'], [4]])
  t.same(await ensure(['kali-ha'], [row('kali-ha', 'kali', delivered('x'))]), { 'kali-ha': 'kept' })
  t.same(await ensure(['kali-ha'], [row('kali-ha', 'kali', later)]), { 'kali-ha': 'kept' }, 'a node of an older release does not go back')
  t.same(await ensure(['kali-ha'], [row('kali-ha', 'local:1000', old)]), { 'kali-ha': 'users' }, 'our text, somebody else\'s deployment')
  t.same(await ensure(['kali-ha', 'mine'], [row('kali-ha', 'local:1000', 'my own'), row('mine', 'local:1000', 'my own')]), { 'kali-ha': 'users', 'mine': 'users' })
  t.same(built, [])
  t.same(await ensure(['kali-ha'], [], async () => { throw coded('FUNCTIONS_ERR_FUNCTION_CONFLICT', 'another node was first') }), { 'kali-ha': 'kept' })
  await t.rejects(ensure(['kali-ha'], [], async () => { throw coded('FABRIC_ERR_STORE_AWAY', 'away') }), { code: 'FABRIC_ERR_STORE_AWAY' })
  t.same([revisionOf(delivered('x')), revisionOf('my own')], [POLICY_REVISION, undefined])
})

t.end()
