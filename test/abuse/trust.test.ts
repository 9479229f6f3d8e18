// Users of a real node who want more than they were given: host files through disks, other people's VMs through pools of their
// own, passwords in what a VM's guest is told, names of what they may not see, other people's names. What each honest user may
// stands beside what is refused, so that nothing passes because everything is refused.

import t from 'tap'
import { buildFiles, functionFile } from '../support/bundles.ts'
import { openTrustNode } from '../support/trust-node.ts'
import type { Door, TrustNode } from '../support/trust-node.ts'
import { uuidOfNode } from '../../fabric/base.ts'
import { bareReference, createValueCodec } from '../../rmo/base.ts'
import { createCatalogClient } from '../../functions/mod.ts'
import type { ReferenceRecord } from '../../functions/mod.ts'
import { referenceRecord } from '../../rmo/mod.ts'

type Of = Pick<ReferenceRecord, 'kind' | 'uuid'>
type Hands = (of: Of, verb: string, ...args: readonly unknown[]) => Promise<unknown>
const codec = createValueCodec()
const GLOBAL = { kind: 'Global', uuid: '6b756d6f-6900-4000-8000-676c6f62616c' }
const DENIED = { code: 'RMO_ERR_DENIED' }
const path = (file: string) => ({ type: 'disk', path: file, format: 'raw', create: 'existing' })

/** Verbs of objects of the lab's node, as any program that knows the protocol calls them. */
const hands = (lab: TrustNode, door: Door): Hands => async (of, verb, ...args) => {
  const body = { kind: of.kind, uuid: of.uuid, home: lab.node.info.id, verb, args: codec.encode(args.map((each) => Array.isArray(each) ? each.map(sent) : sent(each))) }
  return codec.decode(await door.call('rmo.invoke', body) as Uint8Array, 'value')
}
const sent = (value: unknown): unknown => (typeof value === 'object' && value !== null && 'home' in value ? bareReference(value as ReferenceRecord) : value)
const record = (value: unknown): ReferenceRecord => {
  const found = referenceRecord(value)
  if (found === undefined) throw new Error('no reference')
  return found
}

async function setup(t: Parameters<typeof openTrustNode>[0]) {
  const lab = await openTrustNode(t)
  const machine: Of = { kind: 'PhysicalMachine', uuid: uuidOfNode(lab.node.info.id) }
  const admin = hands(lab, await lab.open('own'))
  const door = await lab.open()
  await door.present((await door.login({ user: 'alice' })).token)
  const alice = hands(lab, door)
  const vmm = record(await admin(machine, 'vmm'))
  const allow = (of: Of, ...verbs: readonly string[]): Promise<unknown> => admin(of, 'acls', verbs.map((verb) => ({ effect: verb.startsWith('!') ? 'deny' : 'allow', principal: 'user:alice', verbs: [verb.replace('!', '')] })))
  const cold = async (settings: object): Promise<ReferenceRecord> => record(await admin(vmm, 'createVM', { memoryMiB: 64, ...settings }))
  const made = async (settings: object): Promise<ReferenceRecord> => record(await admin(vmm, 'add', await cold(settings)))
  return { lab, machine, admin, alice, door, vmm, allow, cold, made }
}

t.test('files of the machine, through disks, storage pools and images', async (t) => {
  const { machine, admin, alice, vmm, allow, cold, made } = await setup(t)
  await allow(vmm, 'vmm:*')
  const hers = await made({ name: 'hers' })
  await allow(hers, 'vm:*')
  for (const file of ['/etc/shadow', '/dev/sda', '/root/.ssh/id_ed25519']) {
    await t.rejects(alice(vmm, 'add', await cold({ name: 'reader', devices: [path(file)] })), DENIED, `a VM of ${file}`)
    await t.rejects(alice(hers, 'add', path(file)), DENIED, `a device of ${file}`)
    await t.rejects(alice(hers, 'patch', { devices: [path(file)] }), DENIED, `a setting of ${file}`)
    await t.rejects(alice(hers, 'patch', { devices: [{ ...path(file), format: 7, volume: [] }] }), DENIED, 'in a shape that is none')
  }
  await t.rejects(alice(vmm, 'createPool', { name: 'all', path: '/root' }), DENIED)
  t.ok(record(await alice(vmm, 'add', await cold({ name: 'honest' }))).uuid, 'what names no file is made')
  await alice(hers, 'patch', { description: 'still hers' })
  await allow(machine, 'pm:exec')
  await t.resolves(alice(hers, 'add', path('/srv/hers.raw')), 'who may run programs there reaches its files anyway')
  await allow(machine)
  await t.resolves(alice(hers, 'patch', { memoryMiB: 128 }), 'what it has already is not asked again')
  const { settings } = await alice(hers, 'info') as { settings: { devices: readonly object[] } }
  await t.resolves(alice(hers, 'patch', { devices: settings.devices }), 'nor when it is named again')
  await t.rejects(admin(vmm, 'add', await cold({ name: 'root1', devices: [path('/nowhere/other.raw')] })), { code: 'RMO_ERR_DISK_UNUSABLE' }, 'the administrator is asked for nothing else: there is no such file')
})

t.test('a machine\'s monitor is no way round what a VM is closed to', async (t) => {
  const { alice, vmm, allow, made, admin } = await setup(t)
  await allow(vmm, 'vmm:*')
  const bobs = await made({ name: 'bobs' })
  const tries: readonly (readonly [string, ...unknown[]])[] = [['remove', bobs], ['remove', bobs, { force: true }], ['adopt', bobs], ['add', bobs, { start: true }], ['add', { ...bobs, cold: true }, { start: true }]]
  for (const [verb, ...args] of tries) await t.rejects(alice(vmm, verb, ...args), DENIED, verb)
  t.match(await admin(bobs, 'info'), { name: 'bobs' })
  await allow(bobs, 'vm:delete')
  await t.resolves(alice(vmm, 'remove', bobs), 'with the right on it')
})

t.test('a pool of one\'s own takes nobody else\'s VMs and machines', async (t) => {
  const { lab, machine, admin, alice, allow, made, cold } = await setup(t)
  const [one, two] = await Promise.all(['one', 'two'].map(async (name) => record(await admin(GLOBAL, 'add', await admin(GLOBAL, 'createPool', { name })))))
  if (one === undefined || two === undefined) throw new Error('no pools')
  const alpha: ReferenceRecord = { ...machine, home: lab.node.info.id, name: 'alpha', attributes: {} }
  for (const mine of [one, two]) await allow(mine, 'pool:*', 'vm:*')
  await t.rejects(alice(one, 'add', alpha), DENIED, 'a machine that she does not administer')
  await admin(one, 'add', alpha)
  const bobs = await made({ name: 'bobs' })
  await t.rejects(alice(bobs, 'destroy'), DENIED)
  await t.rejects(alice(one, 'add', bobs), DENIED, 'as it is')
  await t.rejects(alice(one, 'add', { ...bobs, cold: true, attributes: { memoryMiB: 64, vcpus: 1, devices: [] } }), { code: 'KALI_ERR_VM_REFUSED' }, 'as a cold one of its uuid')
  await t.rejects(alice(one, 'add', record(await alice(one, 'createHighAvailability', bobs))), DENIED, 'by its protection')
  await t.rejects(alice(one, 'add', record(await alice(one, 'createElasticity', bobs, { max: 2 }))), DENIED, 'by a group of it')
  await t.rejects(alice(one, 'add', await cold({ name: 'reader', devices: [path('/etc/shadow')] })), DENIED, 'a VM of host files')
  await t.rejects(alice(one, 'add', record(await alice(one, 'createElasticity', await cold({ name: 'reader', devices: [path('/etc/shadow')] }), { max: 2 }))), DENIED, 'a group of host files')
  await t.rejects(alice(bobs, 'destroy'), DENIED, 'none of it made it hers')
  const hers = record(await alice(one, 'add', await cold({ name: 'hers' }), { start: false }))
  await t.rejects(alice(two, 'clear', hers, { hostIsDead: true }), { code: 'KALI_ERR_VM_UNKNOWN' }, 'another pool\'s VM')
  for (const verb of ['drain', 'maintain', 'serve']) await t.rejects(alice(two, verb, alpha), { code: 'KALI_ERR_MACHINE_UNKNOWN' }, `${verb}: another pool's machine`)
  await t.resolves(alice(one, 'serve', alpha), 'its own')
})

t.test('what a guest is told is for who may inspect it', async (t) => {
  const { alice, admin, machine, vmm, allow, cold, made } = await setup(t)
  const PASSWORD = 'hunter2-of-the-guest'
  const web = await made({ name: 'web' })
  await admin(web, 'context', { password: PASSWORD })
  await allow(web, 'vm:read', 'vm:watch', 'vm:update')
  const everything = async (): Promise<string> => JSON.stringify(await Promise.all(['info', 'dump', 'stats', 'volumes', 'snapshots', 'account'].map((verb) => alice(web, verb))))
  t.notMatch(await everything(), PASSWORD)
  t.match(await alice(web, 'info'), { name: 'web', concealed: ['context', 'definition'] })
  t.equal((await alice(web, 'dump') as { version: string }).version, (await admin(web, 'dump') as { version: string }).version, 'it is the same version')
  t.match(JSON.stringify([await admin(web, 'info'), await admin(web, 'dump')]), PASSWORD)
  await allow(web, 'vm:read', 'vm:inspect')
  t.match(await everything(), PASSWORD)

  const pool = record(await admin(GLOBAL, 'add', await admin(GLOBAL, 'createPool', { name: 'pool' })))
  await admin(pool, 'add', { ...machine, home: vmm.home, name: 'alpha', attributes: {} })
  await admin(pool, 'add', await cold({ name: 'kept', context: { password: PASSWORD } }), { start: false })
  await allow(pool, 'pool:*', 'vm:read')
  t.notMatch(JSON.stringify([await alice(pool, 'vms'), await alice(pool, 'snapshot'), await alice(pool, 'dump'), await alice(pool, 'info'), await alice(pool, 'why', 'kept'), await alice(pool, 'decisions')]), PASSWORD)
})

t.test('a claim of another name at a socket is worth nothing', async (t) => {
  const { lab, door, machine } = await setup(t)
  const claims = ['local:0', 'user:bob', 'user:alice', 'system:agent', 'nobody', 'user:alic', 'user:alicex/vm:read', 'user:alice\n/x', 'local:0/user:alice', 'fn:keep@0123456789ab/local:0', '/local:0', 'user:bob/../user:alice']
  const claiming = (through: Door, principal: string, method: string, body: unknown = null): Promise<unknown> =>
    through.peer.call(method, body, { timeoutMs: 20_000, parent: { principal, trace: 'abuse', hop: 0, signal: new AbortController().signal, remainingMs: () => 20_000 } })
  const read = { kind: machine.kind, uuid: machine.uuid, home: lab.node.info.id, verb: 'info', args: codec.encode([]) }
  for (const claim of claims) {
    t.match(await claiming(door, claim, 'trust.whoami'), { principal: 'user:alice' }, claim)
    await t.rejects(claiming(door, claim, 'rmo.invoke', read), DENIED, claim)
    await t.rejects(claiming(door, claim, 'trust.role.set', { name: 'all', users: ['alice'], groups: [], patterns: ['*:*'] }), DENIED, claim)
    await t.rejects(claiming(await lab.open(), claim, 'rmo.invoke', read), { code: 'KALI_ERR_LOGIN_NEEDED' }, `${claim}, by a stranger`)
  }
  for (const below of ['user:alice/local:0', 'user:alice/*:*', 'user:alice/../local:0', 'user:alice/']) await t.rejects(claiming(door, below, 'rmo.invoke', read), DENIED, below)
})

t.test('without rights: no method of administrators, no name of what is not hers', async (t) => {
  const { lab, machine, admin, alice, door, vmm, made } = await setup(t)
  const secret = await made({ name: 'merger-with-acme' })
  const home = lab.node.info.id
  const said: string[] = []
  const refused = async (what: string, answer: Promise<unknown>): Promise<void> => {
    const error: unknown = await answer.then((value) => { said.push(JSON.stringify(value)); return undefined }, (caught: unknown) => caught)
    t.match((error as { code?: string } | undefined)?.code, /DENIED|NOT_FOR_USERS|UNKNOWN_METHOD|INVALID|BAD_MESSAGE/, what)
    said.push(JSON.stringify(error), String(error))
  }
  const bodies: Readonly<Record<string, unknown>> = { 'trust.user.revoke': { name: 'bob' }, 'trust.user.restore': { name: 'bob' }, 'trust.role.rm': { name: 'x' }, 'trust.role.set': { name: 'x', users: ['alice'], groups: [], patterns: ['*:*'] } }
  for (const method of ['trust.show', 'trust.rotate', 'trust.user.list', 'trust.role.list', 'trust.ldap.rm', 'trust.ldap.test', ...Object.keys(bodies), 'node.ticket', 'node.admit', 'node.revoke', 'node.down', 'node.store.status', 'node.store.copy', 'functions.secret.list', 'functions.secret.set', 'functions.dead', 'functions.emit', 'store.get', 'audit.verify', 'audit.settle', 'kali.cut-off', 'rmo.migration']) {
    await refused(method, door.call(method, bodies[method] ?? null))
  }
  for (const verb of ['info', 'dump', 'stats', 'acls', 'account', 'audit', 'start', 'serial', 'vmm', 'snapshots']) await refused(`VM.${verb}`, alice(secret, verb))
  for (const verb of ['exec', 'readFile', 'vms', 'info']) await refused(`PM.${verb}`, alice(machine, verb, '/etc/passwd'))
  await refused('vmm.vms', alice(vmm, 'vms'))
  await refused('global.pools', alice(GLOBAL, 'pools'))
  const about = { kind: 'VM', uuid: secret.uuid, home }
  await refused('why another may', door.call('acl.why', { ...about, principal: 'user:bob', verb: 'info' }))
  await refused('why an administrator may', door.call('acl.why', { ...about, principal: 'local:0', verb: 'info' }))
  said.push(JSON.stringify(await door.call('acl.why', { ...about, principal: 'user:alice', verb: 'info' })))
  t.notMatch(said.join('\n'), /merger-with-acme/, 'its name is in no answer and in no refusal')
  t.match(await admin(secret, 'info'), { name: 'merger-with-acme' })
})

t.test('who may deploy reads no secret by naming it, and takes over nobody\'s function', async (t) => {
  const { lab, door, allow } = await setup(t)
  const own = await lab.open('own')
  const catalogOf = ({ peer }: Door) => createCatalogClient({ peer, callOptions: () => ({ timeoutMs: 60_000 }) })
  const admins = catalogOf(own), hers = catalogOf(door)
  const names = async (name: string, answer: string, more = '') => (await buildFiles({ 'f.ts': functionFile(`async () => '${answer}'`).replace("name: 'f',", `name: '${name}',${more}`) }))
  await allow(GLOBAL, 'function:deploy', 'function:invoke', 'function:list')
  await own.call('functions.secret.set', { name: 'db-password', value: 'hunter2' })
  const thief = await names('thief', 'a', " secrets: ['db-password'],")
  await t.rejects(hers.deploy(thief, {}), { code: 'FUNCTIONS_ERR_DEPLOY_DENIED', message: /secret/ }, 'a secret named in a manifest')
  await admins.deploy(await names('billing', 'b'), {})
  const mine = await names('billing', 'c')
  await t.rejects(hers.deploy(mine, {}), { code: 'FUNCTIONS_ERR_DEPLOY_DENIED', message: /somebody else/ }, 'another\'s function')
  t.match(await hers.deploy(await names('own', 'd'), {}), { outcome: 'new' })
  t.match(await hers.deploy(await names('own', 'e'), {}), { outcome: 'changed' }, 'her own again')
  await allow(GLOBAL, 'function:deploy', 'function:list', 'secret:use', 'function:change')
  t.match(await hers.deploy(thief, {}), { outcome: 'new' }, 'with the right')
  t.match(await hers.deploy(mine, {}), { outcome: 'changed' }, 'with the right')
})
