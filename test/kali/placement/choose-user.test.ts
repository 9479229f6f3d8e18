// A scheduler of the user's, captured as in a shell and run in a real sandbox: Figure 3 as it stands, and everything that can
// go wrong with it. Whatever it does, the mandatory filters hold and nothing is placed in its stead.

import t from 'tap'
import { systemClock, systemRandom } from '../../../fabric/base.ts'
import type { Invoker } from '../../../functions/mod.ts'
import type { Choice, SchedulerRef } from '../../../kali/cloud/contract.ts'
import { createChoose } from '../../../kali/placement/choose.ts'
import { schedulerOf } from '../../../kali/placement/closure.ts'
import { createUserRun } from '../../../kali/placement/user-run.ts'
import { byRank } from '../../../kali/placement/user-scheduler.ts'
import type { SchedulableMachine, UserScheduler } from '../../../kali/placement/user-scheduler.ts'
import { never, openSandbox } from '../../support/sandbox.ts'
import { machine, need, snapshot } from './fixtures.ts'

const { sandbox, close } = await openSandbox()
t.teardown(close)
const refused: Pick<Invoker, 'invoke'> = { invoke: () => Promise.reject(new Error('no functions are deployed here')) }
const choose = createChoose({ run: createUserRun({ sandbox, invoker: refused, clock: systemClock, random: systemRandom }), clock: systemClock })

const used = (vcpus: number): { readonly used: { readonly vms: number; readonly vcpus: number; readonly memoryMiB: number } } => ({ used: { vms: 1, vcpus, memoryMiB: vcpus * 1_024 } })
const POOL = snapshot([machine('hpc3', used(2)), machine('hpc1', used(10)), machine('hpc2', { mode: 'maintenance' }), machine('old', used(4))])
const WEB = need('web')
const chooseBy = (scheduler: UserScheduler | SchedulerRef, vm = WEB): Promise<Choice> => choose(typeof scheduler === 'function' ? schedulerOf(scheduler) : scheduler, { vm, snapshot: POOL }, never)
const failure = async (scheduler: UserScheduler): Promise<Error & { readonly code?: string; readonly details?: { readonly choice?: Choice; readonly at?: string } }> => chooseBy(scheduler).then((choice) => { throw new Error(`no failure: ${JSON.stringify(choice)}`) }, (error: Error) => error)

t.test('Figure 3 as it stands', async (t) => {
  const choice = await chooseBy((vm, pms) => pms.filter((pm) => pm.availableFor(vm)).sort(byRank).at(0))
  t.match(choice, { scheduler: 'closure', chosen: 'm-hpc3', ranked: [{ machine: 'm-hpc3' }], refused: [{ machine: 'm-hpc2', filter: 'in-service' }] })
  t.same(Object.keys(choice).includes('problem'), false)
})

t.test('answers of every shape', async (t) => {
  const prefix = 'hpc'
  t.equal((await chooseBy((_vm, pms) => pms.find((pm) => pm.name === 'old'))).chosen, 'm-old', 'a machine')
  t.equal((await chooseBy(() => 'old')).chosen, 'm-old', 'a name')
  t.equal((await chooseBy(() => 'm-old')).chosen, 'm-old', 'a uuid')
  t.equal((await chooseBy(async (_vm, pms) => pms.at(-1))).chosen, 'm-old', 'a promise')
  t.match(await chooseBy((_vm, pms) => pms.filter((pm) => pm.name.startsWith(prefix)).sort(byRank)), { chosen: 'm-hpc3', ranked: [{ machine: 'm-hpc3', score: 2 }, { machine: 'm-hpc1', score: 1 }] }, 'a list, the unavailable left out; captured values')
  t.equal((await chooseBy((_vm, pms) => pms.sort(byRank)[1])).chosen, 'm-hpc3', 'the list is its own: sorting it in place is fine')
  t.match(await chooseBy(() => undefined), { ranked: [], problem: 'closure chose no machine, of 3 where web could go' })
  t.match(await chooseBy(() => null), { ranked: [], problem: /chose no machine/ })
})

t.test('the filters bind it', async (t) => {
  const choice = await chooseBy(function favourite() { return 'hpc2' })
  t.match(choice, { scheduler: 'favourite', ranked: [], problem: 'favourite answered hpc2, where web cannot go (in-service: it is in maintenance)' })
  t.equal(choice.chosen, undefined)
  t.match(await chooseBy((_vm, pms) => pms.filter((pm) => !pm.availableFor(_vm))), { ranked: [], problem: /only machines where web cannot go \(hpc2: in-service/ })
  let asked = 0
  const none = createChoose({ run: async () => { asked++; return 'hpc1' }, clock: systemClock })
  t.match(await none({ type: 'function', name: 'mine' }, { vm: need('big', { vcpus: 64 }), snapshot: POOL }, never), { ranked: [] })
  t.equal(asked, 0, 'nothing that it could answer would be taken')
})

t.test('what it throws is told with its own line', async (t) => {
  const error = await failure(function broken(_vm, pms) {
    const first = pms[99] as SchedulableMachine
    return first.name
  })
  t.equal(error.code, 'KALI_ERR_SCHEDULER_FAILED')
  t.match(error.message, /The scheduler broken failed for web: TypeError: .*reading 'name'.* \(kumoi:broken@[0-9a-f]{8}:\d+:\d+: return first\.name\)/)
  t.match(error.details, { choice: { scheduler: 'broken', ranked: [], refused: [{ machine: 'm-hpc2' }], problem: /reading 'name'/ } }, 'the choice says so, for the journal')
  t.match(await failure((_vm, pms) => { (pms[0] as { rank: number }).rank = 2; return undefined }), { message: /TypeError/ }, 'the data is frozen')
  t.match(await failure((vm, pms) => pms.find((pm) => pm.availableFor({ ...vm, uuid: 'another' }))), { message: /knows the VM that is being placed/ })
})

t.test('what is no machine', async (t) => {
  t.match(await failure(() => 42 as unknown as string), { code: 'KALI_ERR_SCHEDULER_FAILED', message: /it answered a number; a scheduler answers a machine of pms/ })
  t.match(await failure(() => [{}] as unknown as string[]), { message: /it answered a list with a object without a uuid|an object without a uuid/ })
  t.match(await failure(() => 'hpc9'), { message: /it answered "hpc9", which is no machine of the pool/ })
})

t.test('an endless loop, an endless wait, and a call out of the sandbox', async (t) => {
  t.match(await failure(function endless() { for (;;) { /* goes on */ } }), { code: 'KALI_ERR_SCHEDULER_FAILED', message: /endless/ })
  t.equal((await chooseBy(() => 'old')).chosen, 'm-old', 'the next one runs')
  const code = { ...schedulerOf(() => 'old'), codeHash: '0'.repeat(64) } as SchedulerRef
  await t.rejects(chooseBy(code), { code: 'KALI_ERR_SCHEDULER_FAILED', message: /as its hash says/ })
})

t.test('nothing is remembered from one placement to the next', async (t) => {
  const counting: UserScheduler = () => { const held = globalThis as { seen?: number }; held.seen = (held.seen ?? 0) + 1; return held.seen === 1 ? 'old' : 'hpc1' }
  const ref = schedulerOf(counting)
  t.same([(await chooseBy(ref)).chosen, (await chooseBy(ref)).chosen], ['m-old', 'm-old'])
})

t.test('its caller goes away', async (t) => {
  const control = new AbortController()
  const waiting = createChoose({ run: () => new Promise(() => {}), clock: systemClock })({ type: 'function', name: 'slow' }, { vm: WEB, snapshot: POOL }, control.signal)
  control.abort(new Error('nobody waits'))
  await t.rejects(waiting, { message: 'nobody waits' })
})
