// The gate's own work: one judgement with 100 rules on the chain of the object, for those that cost most.
//
//   node --no-node-snapshot test/bench/gate.ts [--json]

import { kumoiKinds } from '../../kali/mod.ts'
import { createAccessPolicy } from '../../rmo/mod.ts'
import type { AclRule, ObjectKey } from '../../rmo/mod.ts'
import { low, standalone } from './figure.ts'
import type { Bench, Figure } from './figure.ts'

const CALLS = 20_000
const BATCHES = 20
const TARGET_US = 20
const chain: readonly ObjectKey[] = [{ kind: 'VM', uuid: 'v' }, { kind: 'Pool', uuid: 'p' }, { kind: 'PhysicalMachine', uuid: 'm' }, { kind: 'Global', uuid: 'g' }]
const rulesOf = (at: number): readonly AclRule[] => Array.from({ length: 25 }, (_, i) => ({ effect: i % 5 === 0 ? 'deny' as const : 'allow' as const, principal: i % 2 === 0 ? `user:u${at}-${i}` : `group:g${i}`, verbs: ['vm:read', 'vm:snapshot', 'pool:operate'] }))
const rules = new Map(chain.map(({ uuid }, at) => [uuid, rulesOf(at)]))
const groups = Array.from({ length: 32 }, (_, i) => `g${i}`)
const policy = createAccessPolicy({
  kinds: kumoiKinds, ancestors: () => chain, rulesOf: ({ uuid }) => rules.get(uuid) ?? [],
  trust: { user: () => ({ groups, roles: ['operator', 'reader'], revoked: false }), role: (name) => (name === 'reader' ? READER : OPERATOR), version: 1 },
})
const READER = ['*:read', '*:watch']
const OPERATOR = ['*:operate', '*:read']

const CASES = {
  'administrator': 'local:0',
  'user of 32 groups, by his role': 'user:alice',
  'the same, with a narrowed token': 'user:alice/vm:start+vm:read+vm:stop',
} as const

/** Microseconds a judgement: each batch one value. */
function measure(principal: string): readonly number[] {
  const request = { principal, kind: 'VM', uuid: 'v', verb: 'start', acl: 'operate' as const }
  const times: number[] = []
  for (let batch = 0; batch <= BATCHES; batch++) {
    const from = performance.now()
    for (let i = 0; i < CALLS; i++) if (!policy.judge(request).allowed) throw new Error(`${principal} may`)
    // The first one warms up.
    if (batch > 0) times.push((performance.now() - from) * 1_000 / CALLS)
  }
  return times
}

async function figures(): Promise<Figure[]> {
  return Object.entries(CASES).map(([who, principal]) => {
    const times = low(measure(principal))
    return { name: `gate-${who.replace(/\W+/g, '-')}`, what: `One judgement of the gate, 100 rules on the chain: ${who}`, toReach: `<= ${TARGET_US} us`, reached: times.p50 <= TARGET_US, unit: 'us', ...times, peers: [] }
  })
}

export const bench: Bench = { name: 'gate', run: figures }

if (import.meta.main) await standalone(bench)
