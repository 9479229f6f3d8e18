import { test } from 'tap'
import { errorCode } from '../../../fabric/base.ts'
import { settle } from '../../../rmo/host/migration/migration-note.ts'
import type { Side } from '../../../rmo/host/migration/migration-note.ts'
import { VM_STATES, levelOf } from '../../../rmo/vm-state.ts'
import { createTestHosts, eventually, revocable } from '../../support/hosts.ts'
import type { TestHost, TestHosts } from '../../support/hosts.ts'
import { authority } from '../../support/rmo-fabric.ts'

const failureOf = (work: Promise<unknown>): Promise<{ code: string | undefined; message: string }> =>
  work.then(() => ({ code: undefined, message: '' }), (error: unknown) => ({ code: errorCode(error), message: String(error) }))
const domainsOf = async (host: TestHost): Promise<readonly { readonly uuid: string; readonly state: string }[]> => (await host.driver.inventory({ remainingMs: () => 5_000 })).domains
/** Where it runs, as the hypervisors say. */
const running = async (fabric: TestHosts, uuid: string): Promise<readonly string[]> => {
  const found: string[] = []
  for (const host of fabric.hosts) if ((await domainsOf(host)).some((domain) => domain.uuid === uuid && domain.state === 'running')) found.push(host.name)
  return found
}
async function pair(t: { teardown(fn: () => unknown): unknown }, copyMiBps = 100_000): Promise<{ fabric: TestHosts; a: TestHost; b: TestHost }> {
  const fabric = await createTestHosts(['host1', 'host2'], { driver: () => ({ copyMiBps }) })
  t.teardown(() => fabric.stop())
  return { fabric, a: fabric.host('host1'), b: fabric.host('host2') }
}
const bridge = { type: 'interface', bridge: 'br0' } as const

test('a live migration: phases, events, objects on both sides', async (t) => {
  const { fabric, a, b } = await pair(t)
  const vm = await a.add({ name: 'web', devices: [bridge], labels: { tier: 'front' } }, { start: true })
  const { macs } = vm.attributes()
  const heard = a.listen(vm.uuid)
  const there = await vm.migrate(b.pm, {}, authority())
  t.match(there, { kind: 'VM', uuid: vm.uuid, home: b.id, name: 'web' })
  t.same(await running(fabric, vm.uuid), ['host2'])
  t.equal(a.objects.get('VM', vm.uuid), undefined)
  t.equal(a.objects.movedTo('VM', vm.uuid), b.id, 'a stale reference is sent on')
  const moved = b.vm(vm.uuid)
  t.match(moved.attributes(), { name: 'web', state: 'running', host: 'host2', macs, labels: { tier: 'front' }, managed: true })
  const phases = heard.events.filter(({ type }) => type === 'migrating').map(({ phase }) => phase)
  t.ok(phases.includes('copying') && phases.includes('switching'))
  t.match(heard.events.at(-1), { type: 'migrated', to: 'host2', home: b.id })
  t.notOk(heard.types.includes('stopped') || heard.types.includes('gone'), 'its steps are not told as ends')
  t.match((await moved.info(authority())).migration, { from: 'host1', to: 'host2', phase: 'done' })
  t.same(a.host.migrations.last(vm.uuid)?.phases.map(({ phase }) => phase), ['preparing', 'copying', 'switching', 'finishing', 'done'])
  // And back, twice as a no-op.
  await moved.migrate(a.pm, {}, authority())
  await a.vm(vm.uuid).migrate(a.pm, {}, authority())
  t.same(await running(fabric, vm.uuid), ['host1'])
  t.equal(a.objects.movedTo('VM', vm.uuid), undefined)
})

test('a stopped and a paused VM move as they are', async (t) => {
  const { a, b } = await pair(t)
  const [off, still] = [await a.add({ name: 'off' }), await a.add({ name: 'still' }, { start: true })]
  await still.suspend(authority())
  await off.migrate(b.pm, {}, authority())
  await still.migrate(b.pm, {}, authority())
  t.same([b.vm(off.uuid).attributes().state, b.vm(still.uuid).attributes().state], ['stopped', 'paused'])
  t.same(await domainsOf(a), [])
})

test('refused: name, capacity, unreachable; it is where it was', async (t) => {
  const { fabric, a, b } = await pair(t)
  const vm = await a.add({ name: 'web', memoryMiB: 1_024 }, { start: true })
  await b.add({ name: 'web' })
  t.match(await failureOf(vm.migrate(b.pm, {}, authority())), { code: 'RMO_ERR_MIGRATION_REFUSED', message: /already has a VM named "web"/ })
  const big = await a.add({ name: 'big', memoryMiB: 9_000 }, { start: true })
  await b.add({ name: 'other', memoryMiB: 9_000 }, { start: true })
  t.match(await failureOf(big.migrate(b.pm, {}, authority())), { code: 'RMO_ERR_MIGRATION_REFUSED', message: /no room/ })
  fabric.cut('host2')
  t.match(await failureOf(big.migrate(b.pm, {}, authority())), { code: 'RMO_ERR_MIGRATION_REFUSED', message: /unreachable/ })
  fabric.mend('host2')
  t.same([await running(fabric, vm.uuid), await running(fabric, big.uuid)], [['host1'], ['host1']])
  t.equal(b.host.migrations.expectsName('big', ''), false, 'nothing stays reserved')
  t.match((await big.info(authority())).migration, { phase: 'failed' })
})

test('cancelled: it still runs at the source', async (t) => {
  const { fabric, a, b } = await pair(t, 100)
  const vm = await a.add({ name: 'web', memoryMiB: 2_000 }, { start: true })
  const heard = a.listen(vm.uuid)
  const caller = revocable()
  const migrating = failureOf(vm.migrate(b.pm, {}, caller.authority))
  await heard.until('migrating')
  caller.revoke()
  t.match(await migrating, { code: 'RMO_ERR_MIGRATION_FAILED', message: /cancelled.*as before/ })
  t.same(await running(fabric, vm.uuid), ['host1'])
  t.equal(b.host.migrations.expectsName('web', ''), false)
  t.match(a.host.migrations.last(vm.uuid), { phase: 'cancelled' })
  await vm.suspend(authority())
  t.equal(vm.attributes().state, 'paused', 'and can be used as before')
})

test('the hypervisor fails in the middle: it stays', async (t) => {
  const { fabric, a, b } = await pair(t)
  const vm = await a.add({ name: 'web' }, { start: true })
  a.driver.faults.failNext('migrate')
  t.match(await failureOf(vm.migrate(b.pm, {}, authority())), { code: 'RMO_ERR_MIGRATION_FAILED', message: /while copying.*as before/ })
  t.same(await running(fabric, vm.uuid), ['host1'])
  await vm.migrate(b.pm, {}, authority())
  t.same(await running(fabric, vm.uuid), ['host2'])
})

test('the answer of the destination is lost: told again, done once', async (t) => {
  const { fabric, a, b } = await pair(t)
  const vm = await a.add({ name: 'web' }, { start: true })
  let lost = 0
  fabric.intercept(({ body }, when) => { if (body.step === 'complete' && when === 'answer' && lost++ === 0) throw new Error('the answer is lost') })
  await vm.migrate(b.pm, {}, authority())
  t.equal(lost, 2)
  t.same(await running(fabric, vm.uuid), ['host2'])
})

test('cut off at the worst moment: nothing runs twice, and it is settled after', async (t) => {
  const { fabric, a, b } = await pair(t)
  const vm = await a.add({ name: 'web' }, { start: true })
  fabric.intercept(({ body }, when) => { if (body.step === 'complete' && when === 'call') throw new Error('the line is cut') })
  t.match(await failureOf(vm.migrate(b.pm, {}, authority())), { code: 'RMO_ERR_MIGRATION_FAILED', message: /has left host1; host2 is asked again/ })
  t.same(await running(fabric, vm.uuid), [], 'nowhere: the destination has not been told to go on')
  fabric.intercept(undefined)
  // The source's node dies and comes back: its note has what is needed.
  await a.restart()
  await eventually(() => a.host.migrations.last(vm.uuid)?.phase === 'done')
  t.same(await running(fabric, vm.uuid), ['host2'])
  t.equal(b.vm(vm.uuid).attributes().state, 'running')
})

test('the destination\'s node restarts between announcement and arrival: what it reserved is given back', async (t) => {
  const { fabric, a, b } = await pair(t)
  const vm = await a.add({ name: 'web' }, { start: true })
  fabric.intercept(({ body }, when) => {
    if (body.step === 'accept' && when === 'answer') throw new Error('the answer is lost')
    if (body.step === 'refuse') throw new Error('the line is cut')
  })
  t.match(await failureOf(vm.migrate(b.pm, {}, authority())), { code: 'RMO_ERR_MIGRATION_REFUSED' })
  t.equal(b.host.migrations.expectsName('web', ''), true)
  fabric.intercept(undefined)
  await b.restart()
  await eventually(() => !b.host.migrations.expectsName('web', ''))
  t.same(await running(fabric, vm.uuid), ['host1'])
  await vm.migrate(b.pm, {}, authority())
  t.same(await running(fabric, vm.uuid), ['host2'])
})

test('what may run elsewhere is not started here', async (t) => {
  const { fabric, a, b } = await pair(t)
  const vm = await a.add({ name: 'web' })
  const note = { role: 'outgoing', id: 'a', uuid: vm.uuid, name: 'web', from: 'host1', to: 'host2', peer: b.id, machine: b.pm.uuid, principal: 'local:0', state: 'running', phase: 'switching', phases: [{ phase: 'preparing', atMs: 1 }] }
  await a.store.write([{ key: `migration/${a.pm.uuid}/${vm.uuid}`, value: JSON.stringify(note) }])
  fabric.cut('host2')
  t.match(await failureOf(vm.start({}, authority())), { code: 'RMO_ERR_STATE_INVALID', message: /half-way to host2/ })
  t.match(await failureOf(vm.migrate(b.pm, {}, authority())), { code: 'RMO_ERR_STATE_INVALID' })
  fabric.mend('host2')
  await vm.start({}, authority())
  t.same(await running(fabric, vm.uuid), ['host1'])
})

test('simulated hosts of one node migrate among themselves', async (t) => {
  const fabric = await createTestHosts(['host1', 'host2'], { oneNode: true })
  t.teardown(() => fabric.stop())
  const [a, b] = [fabric.host('host1'), fabric.host('host2')]
  const vm = await a.add({ name: 'web' }, { start: true })
  const there = await vm.migrate(b.pm, {}, authority())
  t.match(there, { home: a.id, attributes: { host: 'host2' } })
  t.same(await running(fabric, vm.uuid), ['host2'])
  t.equal(a.objects.get('VM', vm.uuid)?.local, b.vm(vm.uuid))
  t.same([a.host.vms.list().length, b.host.migrations.last(vm.uuid)?.phase, a.host.migrations.last(vm.uuid)?.phase], [0, 'done', 'done'])
})

test('only nodes speak of migrations', async (t) => {
  const { b } = await pair(t)
  let handler: ((body: unknown, context: never) => unknown) | undefined
  b.host.serve({ method: (_name, serve) => { handler = serve as never } })
  t.equal((await failureOf(Promise.resolve(handler?.({ step: 'status', id: 'a', uuid: b.host.vmm.uuid, machine: b.pm.uuid, speaker: b.pm.uuid }, { ...authority(), caller: { via: 'socket', uid: 0 } } as never)))).code, 'RMO_ERR_DENIED')
})

test('settle: never both, never touched when unknown', (t) => {
  const sides: readonly Side[] = [...VM_STATES.filter((state) => state !== 'cold' && state !== 'gone'), 'absent', 'unknown'] as readonly Side[]
  const runs = (side: Side): boolean => side !== 'absent' && side !== 'unknown' && levelOf(side) === 'running'
  for (const here of sides) {
    for (const there of sides) {
      const verdict = settle(here, there)
      if (here === 'unknown') t.equal(verdict, 'wait')
      if (runs(here)) t.equal(verdict, 'stays', `${here}/${there}`)
      if (verdict === 'moved') t.ok(!runs(here) && there !== 'unknown' && there !== 'absent', `${here}/${there}`)
      if (verdict === 'complete') t.same([here, there], ['absent', 'absent'])
      if (there === 'unknown' && !runs(here)) t.equal(verdict, 'wait')
    }
  }
  t.end()
})
