import { inspect } from 'node:util'
import { test } from 'tap'
import { REFERENCE } from '../../functions/mod.ts'
import type { Authority, Collection, ReferenceRecord } from '../../functions/mod.ts'
import { createKindRegistry, defineKind, makePipelined, makeReference, referenceRecord, rmoKinds } from '../../rmo/mod.ts'
import type { ObjectDump, PhysicalMachine, Pipelined, ResourceObject } from '../../rmo/mod.ts'
import { anything, record as recordType, text, optional } from '../../rmo/schema.ts'
import { authority, createTestFabric, must } from '../support/rmo-fabric.ts'

const machineKind = rmoKinds.kindOf('PhysicalMachine')

test('a reference reads attributes without a call and calls verbs at home', async (t) => {
  const fabric = createTestFabric(['alpha', 'beta'])
  t.teardown(() => fabric.close())
  const beta = await fabric.node('alpha').pm('beta')
  t.equal(beta.name, 'beta')
  t.type(beta.cpuRatio, 'number')
  t.equal(beta.memoryFreeRatio, beta.memoryFreeBytes / beta.memoryTotalBytes)
  const info = await beta.info()
  t.match(info, { name: 'beta', pid: process.pid, version: '0.1.0', data: '/var/lib/kumoi/beta', addresses: ['127.0.0.1:7002'] })
  t.equal((await beta.exec('echo', ['a  b', '$HOME'])).stdout, 'a  b $HOME\n')
  const stats = await beta.stats()
  t.ok(stats.cores.length > 0 && stats.filesystems.some(({ mount }) => mount === '/'))
  t.match(await beta.dump(), { kind: 'PhysicalMachine', name: 'beta', uuid: beta.uuid, attributes: { cores: beta.cores } })
})

test('a reference looks and behaves like a value', async (t) => {
  const fabric = createTestFabric(['alpha'])
  t.teardown(() => fabric.close())
  const alpha = await fabric.node('alpha').pm('alpha')
  t.match(inspect(alpha), /^PhysicalMachine alpha \{\s+state: 'alive',\s+address: '127\.0\.0\.1:7001',\s+cpuRatio: [\d.]+,/)
  t.match(inspect({ deep: { er: { pm: alpha } } }, { depth: 2 }), /\[PhysicalMachine alpha\]/)
  t.match(JSON.parse(JSON.stringify(alpha)), { kind: 'PhysicalMachine', name: 'alpha', uuid: alpha.uuid, cores: alpha.cores })
  t.equal(`${alpha}`, 'PhysicalMachine alpha')
  t.ok(Object.keys({ ...alpha }).includes('cpuRatio'), 'spreads its attributes')
  t.equal((await Promise.resolve(alpha)), alpha, 'is not thenable')
  t.equal(referenceRecord(alpha)?.uuid, alpha.uuid, 'carries its record')
  t.throws(() => { (alpha as { name: string }).name = 'other' }, TypeError)
  t.throws(() => (alpha as unknown as { cpuRato: number }).cpuRato,
    { code: 'RMO_ERR_PROPERTY_UNKNOWN', message: /PhysicalMachine alpha has no property "cpuRato". Did you mean cpuRatio\? Attributes: name, uuid, .* Verbs: .*exec.*watch/ })
  t.equal((alpha as unknown as { then?: unknown }).then, undefined)
})

test('an attribute that the listing left out is undefined on the reference', async (t) => {
  const fabric = createTestFabric(['alpha', 'beta'])
  t.teardown(() => fabric.close())
  const { capabilities, session } = fabric.node('alpha')
  const remote = must((await capabilities.resolve('PhysicalMachine', authority()))[1])
  const beta = makeReference(remote, session) as PhysicalMachine
  t.equal(beta.state, 'alive')
  t.equal(beta.cpuRatio, undefined)
  const pipelined = makePipelined(async () => remote, machineKind, session) as Pipelined<PhysicalMachine>
  t.type(await pipelined.cpuRatio, 'number', 'a pipelined one asks for it')
})

test('mistakes are told before anything travels', async (t) => {
  const fabric = createTestFabric(['alpha', 'beta'])
  t.teardown(() => fabric.close())
  const beta = await fabric.node('alpha').pm('beta')
  const before = fabric.node('beta').linkCalls.length
  type Loose = { exec(...args: unknown[]): Promise<unknown>; readFile(...args: unknown[]): Promise<unknown> }
  const loose = beta as unknown as Loose
  await t.rejects(loose.exec(), { code: 'RMO_ERR_ARGUMENT_INVALID', message: 'PhysicalMachine.exec: file must be the name or path of a program, got undefined.' })
  await t.rejects(loose.exec('ls', '-l'), { message: /PhysicalMachine\.exec: args must be an array/ })
  await t.rejects(loose.exec('ls', ['-l', 3]), { message: /args\[1\] must be a string without NUL, got 3/ })
  await t.rejects(loose.exec('ls', [], { timeout: 3 }), { code: 'RMO_ERR_ARGUMENT_UNKNOWN', message: /no option options\.timeout\. Did you mean timeoutMs\?/ })
  await t.rejects(loose.exec('ls', [], { timeoutMs: '2s' }), { message: /options\.timeoutMs must be an integer \(milliseconds\) from 1 to 86400000, or nothing, got "2s"|options\.timeoutMs must be an integer \(milliseconds\) from 1 to 86400000, got "2s"/ })
  await t.rejects(loose.exec('ls', [], {}, 4), { message: /the argument list must be at most 3 long \(file, args, options\), got 4 arguments/ })
  await t.rejects(loose.readFile('etc/passwd'), { message: /path must be an absolute path, got "etc\/passwd"/ })
  t.equal(fabric.node('beta').linkCalls.length, before)
})

test('a pipelined reference works before it is known', async (t) => {
  const fabric = createTestFabric(['alpha', 'beta'])
  t.teardown(() => fabric.close())
  const alpha = fabric.node('alpha')
  const beta = await alpha.pm('beta')
  const record = must(referenceRecord(beta))
  let asked = 0
  const at = () => makePipelined(async () => { asked++; return record }, machineKind, alpha.session) as Pipelined<PhysicalMachine>
  t.equal((await at().exec('echo', ['hi'])).stdout, 'hi\n')
  t.equal(await at().name, 'beta')
  t.equal(await at().cores, beta.cores)
  const known = await at()
  t.equal(known.name, 'beta')
  t.equal(referenceRecord(known), known[REFERENCE as never])
  asked = 0
  at()
  t.equal(asked, 0, 'nothing is asked until it is used')
  const both = at()
  await Promise.all([both.name, both.exec('true')])
  t.equal(asked, 1, 'and then once')
  t.throws(() => (at() as unknown as { exe: unknown }).exe, { code: 'RMO_ERR_PROPERTY_UNKNOWN', message: /Did you mean exec\?/ })
  t.match(inspect(at()), /PhysicalMachine \(not awaited yet\)/)
  const failing = makePipelined(async () => { throw new Error('no element 7') }, machineKind, alpha.session) as Pipelined<PhysicalMachine>
  await t.rejects(failing.exec('true'), /no element 7/)
  await t.rejects(Promise.resolve(failing), /no element 7/)
})

// A kind with relations, as VMM and VM will be: a rack holds machines and has one head.
interface Rack extends ResourceObject<{ readonly size: number }, Record<string, never>> {
  readonly room: string
  readonly machines: Collection<PhysicalMachine>
  readonly head: PhysicalMachine
  lead(machine: PhysicalMachine, note?: { readonly why?: string }): Promise<PhysicalMachine>
}
interface LocalRack { readonly room: string; readonly machines: readonly ReferenceRecord[] }
const RACK_UUID = '00000000-0000-8000-8000-0000000000aa'
const rack = defineKind<Rack, LocalRack>({
  kind: 'Rack', plural: 'racks', doc: 'Machines that stand together.', residence: 'hosted', example: 'racks.length',
  attributes: { room: { doc: 'Where.', type: text(), column: { header: 'ROOM', format: 'text' } } },
  observe: ({ room }) => ({ name: 'r1', uuid: RACK_UUID, room }),
  common: { info: async (local) => ({ size: local.machines.length }), stats: async () => ({}) },
  verbs: {
    lead: {
      doc: 'Makes a machine the head.', acl: 'update', idempotent: true,
      parameters: [{ name: 'machine', doc: 'Which.', type: anything() as never }, { name: 'note', doc: 'Why.', type: optional(recordType({ why: optional(text()) })) }],
      result: { doc: 'the head', type: anything() },
      run: (_local, [machine]) => machine,
    },
  },
  collections: { machines: { kind: 'PhysicalMachine', doc: 'Its machines.', list: async (local: LocalRack, _authority: Authority) => local.machines } },
  references: { head: { kind: 'PhysicalMachine', doc: 'The first.', get: async (local: LocalRack) => local.machines[0] as ReferenceRecord } },
  events: { moved: { doc: 'Somebody moved it.', fields: {} } },
  watch: { options: recordType({}), start: () => () => {} },
})

test('kinds relate: collections, single references, references as arguments and results', async (t) => {
  const fabric = createTestFabric(['alpha', 'beta'], { kinds: createKindRegistry([...rmoKinds.kinds, rack]) })
  t.teardown(() => fabric.close())
  const alpha = fabric.node('alpha'), beta = fabric.node('beta')
  const machine = await alpha.pm('beta')
  beta.objects.add({ kind: 'Rack', uuid: RACK_UUID, local: { room: 'cellar', machines: beta.capabilities.listHere('PhysicalMachine') } satisfies LocalRack })
  const { references } = await alpha.capabilities.list('Rack', { withAttributes: true }, authority())
  const r1 = makeReference(references[0] as ReferenceRecord, alpha.session) as Rack
  t.match({ name: r1.name, room: r1.room }, { name: 'r1', room: 'cellar' })
  t.equal((await r1.info()).size, 1)
  t.equal(await (r1.head as unknown as Pipelined<PhysicalMachine>).name, 'beta', 'a single reference is pipelined')
  t.equal((await r1.head.exec('echo', ['x'])).stdout, 'x\n')
  const records = await (r1.machines as unknown as () => Promise<ReferenceRecord[]>)()
  t.same(records.map(({ name }) => name), ['beta'], 'a collection is made by the session')
  const head = await r1.lead(machine)
  t.equal(head.uuid, machine.uuid)
  t.type(head.exec, 'function', 'a result that holds a reference gives one')
  const pipelined = makePipelined(async () => references[0] as ReferenceRecord, rack, alpha.session) as Pipelined<Rack>
  t.equal(await pipelined.head.name, 'beta', 'pipelines chain')
  t.equal((await pipelined.lead(pipelined.head as unknown as PhysicalMachine)).name, 'beta', 'a pipelined argument is awaited')

  beta.objects.remove('Rack', RACK_UUID, alpha.member.id)
  alpha.objects.add({ kind: 'Rack', uuid: RACK_UUID, local: { room: 'attic', machines: [] } satisfies LocalRack })
  t.equal(((await r1.dump()) as ObjectDump).attributes.room, 'attic', 'an object that moved is followed')
})

test('tsc holds a kind against its interface', async (t) => {
  type Spec = Parameters<typeof defineKind<Rack, LocalRack>>[0]
  const attributeMissing: Record<never, never> extends Spec['attributes'] ? true : false = false
  const verbMissing: Record<never, never> extends Spec['verbs'] ? true : false = false
  const collectionMissing: Record<never, never> extends Spec['collections'] ? true : false = false
  t.notOk(attributeMissing || verbMissing || collectionMissing)
})
