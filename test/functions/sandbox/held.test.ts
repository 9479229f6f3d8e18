// Handles whose attributes can change, inside the sandbox: cold objects, assignments as patches, pipelined single
// references, and the shell's own names (range, from, load). The home is a few lines of this file.

import t from 'tap'
import { REFERENCE } from '../../../functions/contract.ts'
import type { HostCall, KindShape, ReferenceRecord } from '../../../functions/contract.ts'
import { makeHooks, makeJob, never, openSandbox, outcomes, valuesOf } from '../../support/sandbox.ts'

const HOME = 'a'.repeat(64)
const uuid = (n: number): string => `00000000-0000-4000-8000-00000000000${n}`
const vmm: KindShape = { kind: 'VMM', attributes: ['name', 'uuid'], verbs: ['createVM', 'add', 'remove', 'dump', 'patch'], collections: { vms: 'VM' }, references: {}, settable: [] }
const vm: KindShape = {
  kind: 'VM', attributes: ['name', 'uuid', 'memoryMiB', 'state'], verbs: ['start', 'add', 'remove', 'context', 'dump', 'patch'], collections: {}, references: { vmm: 'VMM' },
  settable: ['name', 'memoryMiB'], coldVerbs: { add: { setting: 'devices', how: 'append' }, remove: { setting: 'devices', how: 'remove' }, context: { setting: 'context', how: 'set' } },
}
const pm: KindShape = { kind: 'PhysicalMachine', attributes: ['name', 'uuid'], verbs: ['dump'], collections: { vms: 'VM' }, references: { vmm: 'VMM' } }
const { sandbox, close } = await openSandbox({ shapes: [pm, vmm, vm] })
t.teardown(close)

const record = (kind: string, n: number, attributes: Record<string, unknown> = {}): ReferenceRecord => ({ kind, uuid: uuid(n), home: HOME, name: `${kind}${n}`, attributes: { name: `${kind}${n}`, uuid: uuid(n), ...attributes } })
const reference = (made: ReferenceRecord): object => ({ [REFERENCE]: made })
const machine = reference(record('PhysicalMachine', 1))
const liveVm = reference(record('VM', 5, { memoryMiB: 64, state: 'running' }))
const recordOf = (value: unknown): ReferenceRecord => (value as { readonly [REFERENCE]: ReferenceRecord })[REFERENCE]

/** A home: notes what was asked, makes VMs, refuses patches when told. */
function home(options: { readonly refuse?: string } = {}) {
  const log: string[] = []
  const hooks = makeHooks(async ({ target, verb }: HostCall, args) => {
    log.push(`${target?.kind ?? 'fabric'} ${verb} ${JSON.stringify(args.map((arg) => recordOf(arg)?.attributes ?? arg))}`)
    switch (verb) {
      case 'list:PhysicalMachine': return [machine]
      case 'vmm': return reference(record('VMM', 2))
      case 'vms': return [liveVm]
      case 'createVM': return reference({ ...record('VM', 7, {}), name: 'vm7', attributes: { name: 'vm7', memoryMiB: 128, devices: [] }, cold: true })
      case 'add': return target?.kind === 'VMM' ? reference({ ...recordOf(args[0]), cold: undefined, attributes: { ...recordOf(args[0]).attributes, state: 'stopped' } } as never) : { version: '1', operation: 'o' }
      case 'patch': if (options.refuse !== undefined) throw Object.assign(new Error(options.refuse), { code: 'RMO_ERR_STATE_INVALID' }); return { version: '2', operation: 'o' }
      case 'dump': return { kind: 'VM', uuid: uuid(5), name: 'VM5', attributes: { state: 'running' }, settings: { name: 'VM5', memoryMiB: 64, instanceId: 'i', devices: [{ type: 'interface', bridge: 'b', mac: '52:54:00:00:00:01' }] }, version: '1' }
      default: return target?.kind === undefined ? null : `${verb} done`
    }
  })
  return { log, hooks }
}
const run = async (source: string, options: { readonly refuse?: string; readonly items?: readonly unknown[] } = {}) => {
  const { log, hooks } = home(options)
  const result = await sandbox.run(makeJob({ source, items: options.items ?? [machine] }), hooks, never)
  return { log, values: valuesOf(result), seen: outcomes(result) }
}

t.test('the listing of the paper, on one machine', async (t) => {
  const { values, log } = await run(`async (pm) => {
    const v = await pm.vmm.createVM({ memoryMiB: 128 })
    v.name = 'centos1'
    v.add({ type: 'disk', path: '/nfs/1.qcow2' })
    v.add({ type: 'interface', bridge: 'xenbr' })
    v.remove({ bridge: 'xenbr' })
    v.context({ hostname: v.name })
    const before = [v.state, v.memoryMiB]
    const live = await pm.vmm.add(v)
    return [before, v.state, v.name, live.name, await v.start(), await v.vmm.dump().then((dump) => dump.kind)]
  }`)
  t.same(values, [[['cold', 128], 'stopped', 'centos1', 'centos1', 'start done', 'VM']])
  t.ok(log.includes('VMM add [{"name":"centos1","memoryMiB":128,"devices":[{"type":"disk","path":"/nfs/1.qcow2"}],"context":{"hostname":"centos1"}}]'), log.join('\n'))
  t.notOk(log.some((line) => line.startsWith('VM add') || line.startsWith('VM patch')), 'nothing of the cold object was asked of anybody')
})

t.test('a cold object travels back as one, and refuses what needs a resource', async (t) => {
  const { seen } = await run(`async (pm) => { const v = await pm.vmm.createVM(); v.name = 'x'; return v }`)
  t.match(recordOf(seen[0]?.value), { cold: true, name: 'x', attributes: { name: 'x' } })
  t.match((await run('async (pm) => (await pm.vmm.createVM()).start()')).seen, [{ status: 'error', code: 'RMO_ERR_COLD' }])
  t.match((await run('async (pm) => (await pm.vmm.createVM()).vmm.dump()')).seen, [{ code: 'RMO_ERR_COLD' }])
  t.match((await run('async (pm) => { (await pm.vmm.createVM()).state = 1 }')).seen, [{ code: 'RMO_ERR_READ_ONLY', message: /Settable: name, memoryMiB/ }])
  t.match((await run('async (pm) => { (await pm.vmm.createVM()).nmae = 1 }')).seen, [{ code: 'FUNCTIONS_ERR_SANDBOX_PROPERTY' }])
})

t.test('assignments are one patch, ahead of later calls, and done when the element ends', async (t) => {
  const awaited = await run("async (pm) => { const [v] = await pm.vms; v.name = 'n'; v.memoryMiB = 96; const shown = [v.name, v.memoryMiB]; await v.start(); return shown }")
  t.same(awaited.values, [['n', 96]])
  t.same(awaited.log.slice(1), ['VM patch [{"name":"n","memoryMiB":96}]', 'VM start []'])
  const sync = await run("(v) => { v.name = 'sync'; return v.name }", { items: [liveVm] })
  t.same([sync.values, sync.log], [['sync'], ['VM patch [{"name":"sync"}]']])
  const pipelined = await run("async (pm) => { const v = pm.vms.at(0); v.name = 'p'; const name = await v.name; await v.start(); return [name, (await v).name] }")
  t.same(pipelined.values[0]?.[0 as never], 'p')
  t.same(pipelined.log.filter((line) => line.startsWith('VM ')), ['VM patch [{"name":"p"}]', 'VM start []'])
  const unawaited = await run("(pm) => { pm.vms.at(0).name = 'q' }")
  t.same(unawaited.log, ['PhysicalMachine vms []', 'VM patch [{"name":"q"}]'])
  const filtered = await sandbox.run(makeJob({ source: '', items: [liveVm] }, { stages: [{ verb: 'filter', source: "(v) => { v.name = 'f'; return true }" }, { verb: 'map', source: '(v) => 1' }] }), home().hooks, never)
  t.same(valuesOf(filtered), [1])
})

t.test('a failed assignment fails the next call, else the element', async (t) => {
  t.match((await run("(v) => { v.name = 'n'; return 1 }", { items: [liveVm], refuse: 'not now' })).seen, [{ status: 'error', code: 'RMO_ERR_STATE_INVALID', message: 'not now' }])
  t.same((await run("async (v) => { v.name = 'n'; try { await v.start() } catch (e) { return [e.code, v.name] } }", { items: [liveVm], refuse: 'not now' })).values, [['RMO_ERR_STATE_INVALID', 'VM5']])
  t.match((await run("async (pm) => { pm.vms.at(9).name = 'n' }")).seen, [{ code: 'FUNCTIONS_ERR_SANDBOX_NO_ELEMENT' }])
  t.same((await run("async (pm) => { const v = pm.vms.at(9); v.name = 'n'; try { await v.start() } catch (e) { return e.code } }")).values, ['FUNCTIONS_ERR_SANDBOX_NO_ELEMENT'], 'told once')
  const thrown = await run("(v) => { v.name = 'n'; throw new Error('own') }", { items: [liveVm] })
  t.match(thrown.seen, [{ message: 'own' }])
  t.same(thrown.log, ['VM patch [{"name":"n"}]'], 'what was assigned before a throw was assigned')
  const two = await run("(v) => { if (v.memoryMiB === 64) v.name = 'n'; return v.memoryMiB }", { items: [reference(record('VM', 6, { memoryMiB: 1 })), liveVm], refuse: 'no' })
  t.match(two.seen, [{ status: 'value', value: 1 }, { status: 'error', message: 'no' }], 'only its own element')
})

t.test('load, range and from stand under the names they were captured by', async (t) => {
  const loaded = await run(`async (pm) => {
    const dump = await pm.vms.at(0).dump()
    const same = dc.load(dump)
    const fresh = dc.load(dump, { fresh: true })
    same.name = 'again'
    return [same.state, same.name, same.uuid === dump.uuid, fresh.uuid === dump.uuid, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(fresh.uuid), fresh, (await pm.vmm.add(same)).name]
  }`)
  const [value] = loaded.values as unknown[][]
  t.same(value?.slice(0, 5), ['cold', 'again', true, false, true])
  t.same(recordOf(value?.[5]).attributes, { name: 'VM5', memoryMiB: 64, devices: [{ type: 'interface', bridge: 'b' }] })
  t.equal(value?.[6], 'again')
  t.match((await run('() => dc.load({ kind: "VMM" })')).seen, [{ code: 'RMO_ERR_ARGUMENT_INVALID' }])
  t.same((await run('async () => [await dc.range(3).map((n) => n * 2), await dc.range(5, 0, -2), await dc.from(new Set([1, 2])).length]')).values, [[[0, 2, 4], [5, 3, 1], 2]])
})

t.test('an object under user code that replaced built-ins', async (t) => {
  const hostile = `async (v) => { Map.prototype.get = () => undefined; Map.prototype.forEach = () => {}; v.name = 'n'; return v.name }`
  const { values, log } = await run(hostile, { items: [liveVm] })
  t.same(values, ['n'])
  t.same(log, ['VM patch [{"name":"n"}]'])
})

t.test('a live handle shows plain attributes, takes assignments, and nothing else', async (t) => {
  const { values } = await run(`(vm) => {
    'use strict'
    const caught = []
    Object.prototype.get = () => { caught.push('get') }
    Object.prototype.getOwnPropertyDescriptor = () => { caught.push('descriptor') }
    const refused = (work) => { try { work(); return 'done' } catch (e) { return e.code ?? e.name } }
    const tries = [() => { vm.state = 'x' }, () => { vm.uuid = 'x' }, () => { vm.kind = 'x' }, () => { vm.start = 1 }, () => { vm.memory = 1 }, () => { Object.create(vm).memoryMiB = 1 },
      () => Object.defineProperty(vm, 'state', { value: 'x' }), () => { delete vm.state }, () => Object.setPrototypeOf(vm, {}), () => Object.preventExtensions(vm)].map(refused)
    const before = { ...vm }
    vm.memoryMiB = 96
    delete Object.prototype.get
    delete Object.prototype.getOwnPropertyDescriptor
    return { tries, before, after: vm.memoryMiB, keys: Object.keys(vm), caught }
  }`, { items: [liveVm] })
  t.match(values, [{
    tries: ['RMO_ERR_READ_ONLY', 'RMO_ERR_READ_ONLY', 'TypeError', 'TypeError', 'FUNCTIONS_ERR_SANDBOX_PROPERTY', 'TypeError', 'TypeError', 'TypeError', 'TypeError', 'TypeError'],
    before: { kind: 'VM', name: 'VM5', memoryMiB: 64, state: 'running' }, after: 96, keys: ['kind', 'uuid', 'name', 'memoryMiB', 'state'], caught: [],
  }])
})
