// The cloud's commands through the shell's door, on pools of a few words: what is asked of them, what is printed, what
// --json says, and what a user's mistakes are answered. On real pools: test/e2e.

import t from 'tap'
import type { Test } from 'tap'
import { CodedError } from '../../fabric/base.ts'
import { decision, fakeCloud, vmView, webPool } from '../support/fake-pools.ts'
import type { FakeCloud, FakeCloudOptions } from '../support/fake-pools.ts'
import { shellRun } from '../support/shell-run.ts'

const cloud = (over: FakeCloudOptions = {}): FakeCloud => fakeCloud({ snapshots: [webPool()], ...over })
/** Prints this, asks that; answers what was asked. */
async function does(t: Test, line: string, wanted: string | RegExp, asked: readonly string[] = [], options: FakeCloudOptions = {}): Promise<void> {
  const fake = cloud(options)
  const { status, stdout, stderr } = await shellRun(line.split(' '), { fake })
  t.equal(status, 0, `${line}: ${stderr}`)
  t.match(stdout, wanted, line)
  t.same(fake.said, asked, line)
}
async function refuses(t: Test, line: string, status: number, wanted: string | RegExp, options: FakeCloudOptions = {}): Promise<void> {
  const fake = cloud(options)
  const said = await shellRun(line.split(' '), { fake })
  t.equal(said.status, status, `${line}: ${said.stdout}${said.stderr}`)
  t.match(said.stderr, wanted, line)
}
const json = async (...args: readonly string[]): Promise<unknown> => JSON.parse((await shellRun(['--json', ...args], { fake: cloud() })).stdout) as unknown

t.test('pools', async (t) => {
  await does(t, 'pools', /^name +machines +vms +vcpus +memory +scheduler +survives +policies\nweb +2 +3 +2\/8 +1\.0 GiB of 16\.0 GiB +rank +0 +kali-ha, kali-elasticity\n$/)
  t.match(await json('pools'), [{ name: 'web', machines: 2, vms: 3, groups: 1, vcpus: 8, booked: { vcpus: 2 } }])
  const empty = await shellRun(['pools'], { fake: fakeCloud() })
  t.same([empty.status, empty.stdout], [0, ''])
  t.match(empty.stderr, 'No pools. Make one: `kumoi pool create NAME`.')
  const frozen = await shellRun(['pools'], { fake: cloud({ snapshots: [webPool({ mode: 'freeze' })] }) })
  t.match(frozen.stderr, 'the cloud\'s mode is freeze')
})

t.test('a pool is made, changed and removed', async (t) => {
  await does(t, 'pool create hpc --scheduler packing --overcommit-cpu 2 --reserve-memory 512 --survives 1 --policy mine', /^name +hpc\nuuid +uuid-hpc\nscheduler +rank/,
    ['createPool {"name":"hpc","scheduler":"packing","cpuOvercommitRatio":2,"reserveMemoryMiB":512,"survivesHosts":1,"policies":["mine"]}', 'global.add hpc'])
  t.match(await shellRun(['pool', 'set', 'web', '--survives', '2'], { fake: cloud() }), { status: 0, stderr: /warning: web has 2 machines, so it cannot survive the loss of 2/ })
  t.notMatch((await shellRun(['pool', 'set', 'web', '--survives', '1', '--policy', 'kali-rebalance'], { fake: cloud() })).stderr, /warning/)
  t.match(await shellRun(['pool', 'set', 'web', '--policy', 'nosuch'], { fake: cloud() }), { status: 0, stderr: /warning: no function nosuch is deployed.*: nothing acts on web by that name/ })
  await does(t, 'pool set web --scheduler striping', /^name +web/, ['patch {"scheduler":"striping"}'])
  await refuses(t, 'pool set web', 2, 'nothing to change')
  await refuses(t, 'pool create x --overcommit-cpu lots', 2, 'no over-commit factor')
  await refuses(t, 'pool show wbe', 1, 'There is no pool "wbe". Did you mean web?')
  await does(t, 'pool rm web', 'web removed', ['global.remove web {}'])
  await does(t, 'pool rm web --force', 'web removed', ['global.remove web {"force":true}'])
})

t.test('members come and go', async (t) => {
  await does(t, 'pool add web beta alpha', 'beta added to web\nalpha added to web\n', ['pool.add beta {}', 'pool.add alpha {}'])
  await does(t, 'pool add web *a --vm web1 --start', /alpha added.*beta added.*gamma added.*web1 added/s, ['pool.add alpha {}', 'pool.add beta {}', 'pool.add gamma {}', 'pool.add web1 {"start":true}'])
  await refuses(t, 'pool add web nope*', 1, 'There is no machine like "nope*". There are: alpha, beta, gamma.')
  await refuses(t, 'pool add web', 2, 'pool add: what?')
  await does(t, 'pool rm web alpha --vm web1', 'alpha taken out of web\nweb1 taken out of web\n', ['pool.remove alpha {}', 'pool.remove web1 {}'])
  await does(t, 'pool rm web --vm web1 --destroy', 'web1 removed', ['pool.remove web1 {"destroy":true}'])
  await refuses(t, 'pool rm web --destroy', 2, '--destroy is for VMs')
  const taken = new CodedError('alpha is in pool hpc already', { code: 'KALI_ERR_MACHINE_TAKEN' })
  const fake = cloud({ refuse: { 'pool.add alpha': taken } })
  const mixed = await shellRun(['pool', 'add', 'web', 'alpha', 'beta'], { fake })
  t.same([mixed.status, mixed.stdout], [1, 'beta added to web\n'], 'what can be added is')
  t.match(mixed.stderr, /alpha is in pool hpc already \[KALI_ERR_MACHINE_TAKEN\]/)
})

t.test('a VM is made where the pool says', async (t) => {
  await does(t, 'vm create web2 --pool web --memory 512', /^name +web2\n.*host +alpha/s, ['createVM {"name":"web2","memoryMiB":512,"devices":[]}', 'pool.add web2'])
  await refuses(t, 'vm create web2 --pool web --host beta', 2, '--pool and --host do not go together')
})

t.test('show and why', async (t) => {
  await does(t, 'pool show web', /^name +web\n.*rule spread +group:shop on machines of their own\n\nmachine +mode +member +lease.*\nalpha +in-service +alive +held 0s +25%.*\nbeta +in-service +dead +none .*\n\nvm +wanted +state.*\nweb1 +running +running +alpha +50% +1 +512 MiB +1 +ha\nshop-1 .* shop\nshop-2 +running +starting .*\n\ngroup +pool .*\nshop +web +active +1 +1 +1-4 +90% +30%-80% +cpu\n$/s)
  t.match(await json('pool', 'show', 'web'), { pool: { name: 'web' }, machines: [{ name: 'alpha' }, { name: 'beta' }] }, 'the snapshot itself')
  const explanation = {
    about: 'web1', summary: 'web1 runs on alpha since its old machine was lost.', notes: { 'kali-ha': { lostMachines: 1, brake: false } }, decisions: [decision()], lease: { node: 'alpha', state: 'held', ageMs: 900, leaseMs: 15_000 } as const,
    placement: { scheduler: 'rank', chosen: 'alpha', tookMs: 2, ranked: [{ machine: 'alpha', score: 1.5 }], refused: [{ machine: 'beta', filter: 'alive', reason: 'it is dead' }] },
  }
  await does(t, 'pool why web web1', /^web1 runs on alpha since its old machine was lost\.\n\nlease +of alpha: held for 0s \(15s long\)\nkali-ha +lostMachines 1, brake false\n\nwhere it could go now: alpha, by rank in 2 ms\.\nmachine +verdict +score +why not\nalpha +chosen +1\.5\nbeta +alive +it is dead\n\nwhen .*\n.* ago +kali-ha +relocate +web1 +the lease of alpha is gone\n$/s, ['why web1'], { explanation })
  await does(t, 'pool why web', /^All is as wanted\.\n$/, ['why'])
  await does(t, 'pool decisions web --about web1 --limit 5', /relocate +web1/, ['decisions {"limit":5,"about":"web1"}'], { decisions: [decision()] })
  await does(t, 'pool decisions web', /retry: refused/, ['decisions {"limit":50}'], { decisions: [decision({ action: 'retry', outcome: 'refused' })] })
})

t.test('out of service and back; rules; trials', async (t) => {
  for (const [verb, done] of [['drain', 'is empty, in maintenance'], ['maintain', 'is in maintenance'], ['serve', 'is in service']] as const) await does(t, `pool ${verb} web alpha`, `alpha ${done}\n`, [`${verb} alpha`])
  await refuses(t, 'pool drain web gamma', 1, 'There is no machine "gamma". There are: alpha, beta.')
  await does(t, 'pool rule list web', /^rule +binds +says\nspread +always +group:shop on machines of their own\n$/)
  await does(t, 'pool rule add web near --type together --vm web1 --vm shop-1 --soft', 'near: web1, shop-1 on one machine, if possible', ['rule {"name":"near","type":"together","hard":false,"vms":["web1","shop-1"]}'])
  await does(t, 'pool rule add web gpu --type on --vm web1 --machine alpha', 'gpu: web1 on alpha', ['rule {"name":"gpu","type":"on","hard":true,"vms":["web1"],"machines":["alpha"]}'])
  const broken = cloud({ ruleAnswer: { unkept: [{ rule: 'spread', reason: 'two machines for three' }] } })
  t.match(await shellRun(['pool', 'rule', 'add', 'web', 'near', '--type', 'together', '--vm', 'web1'], { fake: broken }), { status: 0, stderr: /warning: rule spread of web cannot be kept as things are: two machines for three/ })
  await does(t, 'pool rule rm web spread near', 'spread removed\nnear removed', ['removeRule spread', 'removeRule near'])
  await refuses(t, 'pool rule add web gpu --type on --vm web1', 2, 'on needs machines')
  await refuses(t, 'pool rule add web gpu --type apart', 2, 'of which VMs?')
  await refuses(t, 'pool rule mend web', 2, '"mend" is none of add, rm, list')
  await does(t, 'pool place web --vcpus 2 --memory 4096 --scheduler packing', /^alpha, by rank in 3 ms\.\nmachine +verdict +score +free +why not\nalpha +chosen +0\.75 +0\.75\nbeta +memory +needs 4096 MiB, 512 MiB are free\n$/, ['place {"vcpus":2,"memoryMiB":4096} {"scheduler":"packing"}'])
  await does(t, 'pool place web --vm web1', /^alpha/, ['place web1 {}'])
  await refuses(t, 'pool place web --vm web1 --vcpus 2', 2, '--vm is there already')
  const nowhere = await shellRun(['pool', 'place', 'web'], { fake: cloud({ choice: { scheduler: 'rank', ranked: [], refused: [{ machine: 'alpha', filter: 'vcpus', reason: 'full' }], tookMs: 1 } }) })
  t.equal(nowhere.status, 1, 'a script can tell')
  t.match(nowhere.stdout, /^No machine can take it \(scheduler rank\)\.\n.*alpha +vcpus +full/s)
})

t.test('high availability', async (t) => {
  await does(t, 'ha list', /^vm +pool +state +machine +armed +lease +epoch +restarts +elsewhere\s+error\nweb1 +web +running +alpha +yes +held 0s +1 +0 of 1 +0 of 1\n$/)
  await does(t, 'ha add shop-1 --restarts 2 --on-shutdown restart --window 10m', 'shop-1 is kept running', ['createHighAvailability shop-1 {"restarts":2,"windowMs":600000,"onGuestShutdown":"restart"}', 'pool.add shop-1'])
  await does(t, 'ha rm web1', 'web1 is not kept any more', ['remove web1'])
  await does(t, 'ha clear web1', 'web1 begins anew', ['clear web1 {}'])
  await does(t, 'ha clear web1 --host-is-dead', 'web1 begins anew', ['clear web1 {"hostIsDead":true}'])
  await refuses(t, 'ha rm shop-1', 1, 'There is no highly available VM "shop-1"')
  await does(t, 'ha mode freeze --reason upgrade', 'frozen: policies restart and move nothing', ['mode freeze upgrade'])
  await refuses(t, 'ha mode off', 2, '"off" is none of armed, freeze')
  const given = await shellRun(['ha', 'list'], { fake: cloud({ snapshots: [webPool({ vms: [vmView('web1', { error: 'no tries left', protection: { restarts: 1, relocations: 1, windowMs: 1, onGuestShutdown: 'leave', priority: 0, armed: false } })] })] }) })
  t.match(given.stdout, /web1 +web +error .*no tries left/)
  t.match(given.stderr, 'given up: web1. When the cause is mended: kumoi ha clear web1')
  await refuses(t, 'ha add web1', 1, 'There is no pool yet', { snapshots: [] })
})

t.test('a node with protected VMs does not leave by accident', async (t) => {
  await refuses(t, 'down', 1, /alpha runs protected VMs: web1\. .*kumoi down --drain.*kumoi down --force.*\[CLI_ERR_PROTECTED_HERE\]/)
  await refuses(t, 'down --drain --force', 2, 'do not go together')
  const left = async (line: string, options: FakeCloudOptions = {}): Promise<FakeCloud> => { const fake = cloud(options); t.match(await shellRun(line.split(' '), { fake }), { status: 0, stdout: /alpha has left/ }, line); return fake }
  t.same((await left('down --force')).said, [])
  const drained = await left('down --drain')
  t.same([drained.said, drained.calls], [['drain alpha'], ['down', 'close']], 'moved first')
  const vms = [vmView('idle', { desired: 'stopped', protection: { restarts: 1, relocations: 1, windowMs: 1, onGuestShutdown: 'leave', priority: 0, armed: false } }), vmView('free')]
  t.same((await left('down', { snapshots: [webPool({ vms })] })).said, [], 'nothing of it would be lost')
  const stuck = cloud({ refuse: { 'drain alpha': new CodedError('no room', { code: 'KALI_ERR_DRAIN_BLOCKED' }) } })
  t.equal((await shellRun(['down', '--drain'], { fake: stuck })).status, 1)
  t.notOk(stuck.calls.includes('down'), 'what cannot be moved keeps its node')
})

t.test('elastic groups', async (t) => {
  await does(t, 'elastic list', /shop +web +active +1 +1 +1-4 +90%/)
  await does(t, 'elastic add web1 --max 4 --out 70% --metric queue', 'web1 is elastic in web, at most 4 members', ['createElasticity web1 {"out":0.7,"in":0.3,"min":1,"max":4,"metric":"queue"}', 'pool.add web1'])
  await refuses(t, 'elastic add web1', 2, 'how many at most?')
  await refuses(t, 'elastic add web1 --max 4 --out 7', 2, 'no ratio')
  await does(t, 'elastic set shop --max 8 --cooldown-out 2m', 'shop changed', ['patch shop {"max":8,"cooldownOutMs":120000}'])
  for (const [verb, done] of [['pause', 'paused'], ['resume', 'active']] as const) await does(t, `elastic ${verb} shop`, `shop ${done}`, [`${verb} shop`])
  await does(t, 'elastic rm shop --keep-members', 'shop removed', ['remove shop {"keepMembers":true}'])
  await does(t, 'elastic rm shop --yes', 'shop removed', ['remove shop {}'])
})

t.test('several pools: the one that manages the VM is meant', async (t) => {
  const two = { snapshots: [webPool(), webPool({ pool: { ...webPool().pool, name: 'hpc', uuid: 'uuid-hpc' }, vms: [], groups: [] })] }
  await does(t, 'ha add web1', 'web1 is kept running', ['createHighAvailability web1 {}', 'pool.add web1'], two)
  await does(t, 'elastic add web1 --max 4 --name front', /at most 4 members/, ['createElasticity web1 {"out":0.8,"in":0.3,"min":1,"max":4,"name":"front"}', 'pool.add web1'], two)
  await does(t, 'ha add web1 --pool web', 'web1 is kept running', ['createHighAvailability web1 {}', 'pool.add web1'], two)
})
