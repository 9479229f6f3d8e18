// A scheduler of a user's: captured as in a shell, run in the sandbox, its answer held against the filters; a deployed one by
// name. What goes wrong in it is told with its line, and places nothing.

import t from 'tap'
import { LIMITS, systemClock, systemRandom } from '../../../fabric/base.ts'
import type { Invoker, InvokeOutcome, Job, Sandbox } from '../../../functions/mod.ts'
import { decodeValue, encodeArray } from '../../../functions/mod.ts'
import { SimClock, toErrorRecord } from '../../../fabric/mod.ts'
import type { Choice, SchedulerRef } from '../../../kali/cloud/contract.ts'
import { needOf } from '../../../kali/placement/admission.ts'
import { createChoose } from '../../../kali/placement/choose.ts'
import { schedulerOf } from '../../../kali/placement/closure.ts'
import { byRank, type SchedulerPayload, type UserScheduler } from '../../../kali/placement/user-scheduler.ts'
import { createUserRun } from '../../../kali/placement/user-run.ts'
import { buildFiles, loadHere } from '../../support/bundles.ts'
import { machine, pending, snapshot } from '../../support/pool-snapshots.ts'
import { openSandbox } from '../../support/sandbox.ts'

const opened = await openSandbox({ workers: 1, spareCells: 0, spareIsolates: 1 })
t.teardown(() => opened.close())

const pool = snapshot({ machines: [machine('a', { freeVcpus: 4 }), machine('b', { freeVcpus: 12, freeMemoryMiB: 60_000, booked: { vms: 1, vcpus: 4, memoryMiB: 5_536 } }), machine('c', { mode: 'maintenance' })] })
const request = { vm: needOf(pending('web', { vcpus: 2, memoryMiB: 1_024, labels: { tier: 'web' } })), snapshot: pool }
const noInvoker: Pick<Invoker, 'invoke'> = { invoke: async () => { throw new Error('nothing is deployed here') } }

function chooserOf(invoker: Pick<Invoker, 'invoke'>): (scheduler: UserScheduler | string | SchedulerRef, of?: typeof request, signal?: AbortSignal) => Promise<Choice> {
  const choose = createChoose({ run: createUserRun({ sandbox: opened.sandbox, invoker, clock: systemClock, random: systemRandom }), clock: systemClock })
  return (scheduler, of = request, signal = new AbortController().signal) => choose(schedulerOf(scheduler), of, signal)
}
const choose = chooserOf(noInvoker)

interface Failure { readonly code: string; readonly message: string; readonly details: { readonly at?: string; readonly choice: Choice } }
async function failure(choice: Promise<Choice>): Promise<Failure> {
  try { await choice } catch (error) { return error as Failure }
  throw new Error('it did not fail')
}

t.test('Figure 3, word for word', async (t) => {
  const choice = await choose((vm, pms) => pms.filter((pm) => pm.availableFor(vm)).sort(byRank).at(0))
  t.match(choice, { scheduler: 'closure', chosen: 'm-a', ranked: [{ machine: 'm-a' }], refused: [{ machine: 'm-c', filter: 'in-service', reason: 'it is in maintenance' }] })
  const elsewhere = await choose((vm, pms) => pms.filter((pm) => pm.availableFor(vm)).sort(byRank).at(0), { ...request, vm: { ...request.vm, vcpus: 5 } })
  t.equal(elsewhere.chosen, 'm-b')
  t.match(elsewhere.refused, [{ machine: 'm-a', filter: 'room' }, { machine: 'm-c' }])
})

t.test('what it may answer', async (t) => {
  const liked = 'b'
  const ways: Readonly<Record<string, UserScheduler>> = {
    'a machine': (_vm, pms) => pms.find(({ name }) => name === liked), 'a name': () => liked, 'a uuid': () => `m-${liked}`,
    'a list': (_vm, pms) => pms.toSorted((a, b) => (a.name < b.name ? 1 : -1)), 'a list with holes': () => [null, 'b', undefined, 'a'], 'a promise': async () => await Promise.resolve(liked),
  }
  for (const [name, way] of Object.entries(ways)) t.equal((await choose(way)).chosen, 'm-b', name)
  t.same((await choose(() => ['c', 'b', 'b', 'a'])).ranked.map(({ machine: uuid }) => uuid), ['m-b', 'm-a'], 'what the filters refuse is left out')
})

t.test('no machine by its choice, or one where the VM cannot go', async (t) => {
  for (const answer of [undefined, null]) t.match(await choose(() => answer), { chosen: undefined, ranked: [], problem: 'closure chose no machine, of 2 where web could go' })
  const full = await choose(function myWay() { return 'c' })
  t.equal(full.chosen, undefined)
  t.match(full.problem, 'myWay answered c, where web cannot go (in-service: it is in maintenance)')
  t.match((await choose(() => ['c'])).problem, /answered only machines, where web cannot go \(c: in-service/)
  const nowhere = await choose(() => { throw new Error('it is not asked') }, { ...request, vm: { ...request.vm, vcpus: 99 } })
  t.match(nowhere, { chosen: undefined, refused: [{}, {}, {}] })
})

t.test('wrong answers', async (t) => {
  const answers: readonly (readonly [UserScheduler, RegExp])[] = [
    [() => 7 as never, /it answered a number; a scheduler answers a machine of pms/], [() => ({}) as never, /it answered a object without a uuid/], [() => [true] as never, /a list with a boolean/],
    [() => 'z', /"z", which is no machine of the pool/],
  ]
  for (const [scheduler, expected] of answers) t.match(await failure(choose(scheduler)), { code: 'KALI_ERR_SCHEDULER_FAILED', message: expected })
})

t.test('a throw is told with its line', async (t) => {
  const error = await failure(choose(function strict(vm, pms) {
    const [pm] = pms
    if (vm.labels['owner'] === undefined) throw new RangeError('a VM needs an owner')
    return pm
  } as UserScheduler))
  t.match(error, { code: 'KALI_ERR_SCHEDULER_FAILED', message: /^The scheduler strict failed for web: RangeError: a VM needs an owner \(kumoi:.*throw new RangeError.*\)\. Nothing was placed\./ })
  t.match(error.details.choice, { chosen: undefined, refused: [{ machine: 'm-c' }], problem: /a VM needs an owner/ })
})

t.test('no end', async (t) => {
  const error = await failure(choose(() => { for (;;); }))
  t.match(error, { code: 'KALI_ERR_SCHEDULER_FAILED', message: /CPU|processor|time/i })
  const stuck = new AbortController()
  const waiting = choose(() => new Promise<never>(() => {}), request, stuck.signal)
  stuck.abort(new Error('the caller has gone'))
  await t.rejects(waiting, { message: 'the caller has gone' })
})

t.test('whatever runs it does not come back', async (t) => {
  const clock = new SimClock()
  const ended: unknown[] = []
  const patient = createChoose({ clock, run: (_ref, _payload, { signal }) => new Promise(() => { signal.addEventListener('abort', () => ended.push(signal.reason)) }) })
  const waiting = failure(patient(schedulerOf('mine'), request, new AbortController().signal))
  clock.advance(LIMITS.schedulerAnswerMs + LIMITS.killGraceMs)
  t.match(await waiting, { code: 'KALI_ERR_SCHEDULER_FAILED', message: /it had not answered after 5000 ms/ })
  t.equal(ended.length, 1, 'it is told to end')
  t.equal(clock.pending, 0)
})

t.test('it is given frozen data, its own list, and no way out', async (t) => {
  const seen = await choose((vm, pms) => {
    const problems: string[] = []
    const denied = (what: string, act: () => unknown): void => { try { act(); problems.push(what) } catch { /* as it should be */ } }
    denied('changed a machine', () => { Object.assign(pms[0] ?? {}, { rank: 2 }) })
    denied('changed the VM', () => { Object.assign(vm, { name: 'x' }) })
    denied('changed its labels', () => { Object.assign(vm.labels, { x: 'y' }) })
    denied('asked of another VM', () => pms[0]?.availableFor({ uuid: 'another' }))
    pms.sort(() => -1).reverse().pop()
    if (problems.length > 0) throw new Error(problems.join())
    return 'b'
  })
  t.equal(seen.chosen, 'm-b')
  t.equal(pool.machines.length, 3)
  for (let round = 0; round < 2; round++) {
    const counted = await choose(() => {
      const here = globalThis as { count?: number }
      here.count = (here.count ?? 0) + 1
      return here.count === 1 ? 'a' : 'b'
    })
    t.equal(counted.chosen, 'm-a', 'nothing is remembered')
  }
})

t.test('one that was written in a shell runs as nobody, and not beside what the pool\'s maker runs', async (t) => {
  const jobs: Job[] = []
  const sandbox: Pick<Sandbox, 'run'> = { run(job, hooks, signal) { jobs.push(job); return opened.sandbox.run(job, hooks, signal) } }
  const watched = createChoose({ run: createUserRun({ sandbox, invoker: noInvoker, clock: systemClock, random: systemRandom }), clock: systemClock })
  t.equal((await watched(schedulerOf(() => 'a'), request, new AbortController().signal)).chosen, 'm-a')
  t.match(jobs, [{ principal: `scheduler/${pool.pool.createdBy}`, limits: { hostCalls: 0 } }], 'a principal that no gate knows')
})

t.test('a deployed one', async (t) => {
  const built = await buildFiles({ 'tier.ts': `import { byRank, defineScheduler } from 'kumoi'
export default defineScheduler({ name: 'tier', schedule: (vm, pms) => pms.filter((pm) => pm.availableFor(vm) && vm.labels['tier'] === 'web').sort(byRank) })\n` })
  t.same(built.warnings, [])
  const { definition } = loadHere(built.script)
  const asked: unknown[] = []
  const invoker = (answer: (payload: unknown) => unknown): Pick<Invoker, 'invoke'> => ({
    async invoke({ reference, payload }, { principal }) {
      asked.push(reference, principal)
      try {
        return { status: 'value', value: encodeArray([await answer((decodeValue(payload) as unknown[])[0])]), call: {} as never } satisfies InvokeOutcome
      } catch (error) {
        return { status: 'error', error: toErrorRecord(error, 'test'), mayHaveRun: true }
      }
    },
  })
  t.match(await chooserOf(invoker((payload) => definition.run({}, payload)))('tier'), { scheduler: 'tier', chosen: 'm-a', ranked: [{ machine: 'm-a' }, { machine: 'm-b' }] })
  t.same(asked, ['tier', 'test'])
  t.equal((await chooserOf(invoker(() => 'b'))('plain')).chosen, 'm-b', 'one that is written with defineFunction')
  t.equal((await chooserOf(invoker((payload) => (payload as SchedulerPayload).pms))('plain')).chosen, 'm-a')
  t.match(await failure(chooserOf(invoker(() => { throw new TypeError('oh') }))('plain')), { code: 'KALI_ERR_SCHEDULER_FAILED', message: /The scheduler plain failed for web: TypeError: oh/ })
  t.match(await failure(choose('plain')), { code: 'KALI_ERR_SCHEDULER_FAILED', message: /nothing is deployed here/ })
})

t.test('code that is not what its hash says', async (t) => {
  const ref = schedulerOf(() => 'a') as Extract<SchedulerRef, { type: 'closure' }>
  t.match(await failure(choose({ ...ref, text: ref.text.replace('"a"', '"b"').replace("'a'", "'b'") })), { code: 'KALI_ERR_SCHEDULER_FAILED', message: /as its hash says/ })
})
