// The simulated machines: what is answered from what is known is, byte for byte, what the objects themselves answer.

import { test } from 'tap'
import { seededRandom } from '../../../fabric/base.ts'
import type { NodeId } from '../../../fabric/base.ts'
import { SimClock } from '../../../fabric/mod.ts'
import { decodeValue, encodeArray, functionPrincipal } from '../../../functions/mod.ts'
import { createWorld } from '../../../kali/simulate/world.ts'
import { createFunctionRules, loadTraceOf, rmoKinds } from '../../../rmo/mod.ts'

const SELF = 'ab'.repeat(32) as NodeId

test('pm.vms from what is known is what the machine answers, before and after changes, for whom the gate lets', async (t) => {
  const clock = new SimClock()
  const rights: Record<string, readonly string[]> = { reader: ['vm:read', 'vm:operate'], blind: ['network:read'] }
  const world = createWorld({
    clock, random: seededRandom(1), seed: 1, self: SELF, hosts: 2, vmsPerHost: 3, sampleMs: 60_000, warn: (text) => t.fail(text),
    load: () => ({ ...loadTraceOf([0.2, 0.9], 60_000), onClock: true }),
    rules: createFunctionRules({ kinds: rmoKinds, versionOf: (name) => rights[name] === undefined ? undefined : { rights: rights[name], singleton: false }, fence: async () => {} }),
  })
  t.teardown(() => world.stop())
  const principal = (name: string): string => functionPrincipal({ name, version: 'c'.repeat(64), deployer: 'local:0' })
  const authority = { principal: principal('reader'), trace: '', hop: 0, signal: new AbortController().signal, remainingMs: () => 60_000 }
  const none = encodeArray([])
  const compare = async (): Promise<object | undefined> => {
    let version: object | undefined
    for (const { uuid } of world.hosts) {
      const target = { kind: 'PhysicalMachine', uuid, home: SELF }
      const known = world.knownAnswer({ target, verb: 'vms', args: none, element: 0 }, authority.principal)
      t.same(known?.bytes(), await world.invokeEncoded(target, 'vms', none, authority))
      version = known?.version
    }
    return version
  }
  await clock.settle(30_000)
  const first = await compare()
  const machines = (await world.resolve('PhysicalMachine', authority, 'names')).slice()
  const [revision, kept, fresh] = [world.revision, world.keptMachines(machines), await world.refresh(machines, authority)]
  const answer = (): ReturnType<typeof world.knownAnswer> => world.knownAnswer({ target: { kind: 'PhysicalMachine', uuid: world.hosts[0]?.uuid ?? '', home: SELF }, verb: 'vms', args: none, element: 0 }, authority.principal)
  const shown = (): readonly object[] => (world.hosts[0]?.host.vms.list() ?? []).map((vm) => vm.attributes())
  const before = { known: answer(), shown: shown() }
  await clock.settle(10_000)
  t.same([world.revision, world.keptMachines(machines.slice()), await world.refresh(machines.slice(), authority)], [revision, kept, fresh])
  t.equal(world.keptMachines(machines.slice()), kept, 'nor asked again')
  t.equal(await compare(), first, 'nothing was read in between: nothing is made again')
  await clock.settle(60_000)
  t.not(await compare(), first)
  t.not(world.revision, revision)
  t.not(world.keptMachines(machines), kept)
  const changes = decodeValue(answer()?.changes?.(before.known?.version ?? {}) ?? none) as readonly object[]
  t.equal(changes.length, 3)
  t.same(before.shown.map((attributes, i) => ({ ...attributes, ...changes[i] })), shown(), 'what has changed makes the new one of the old one')
  const [vm] = world.hosts[0]?.host.vms.list() ?? []
  await world.capabilities.invoke({ kind: 'VM', uuid: vm?.uuid ?? '', home: SELF }, 'destroy', [], authority)
  await clock.settle(1)
  await compare()
  const ruled = world.revision
  await world.capabilities.invoke({ kind: 'VM', uuid: vm?.uuid ?? '', home: SELF }, 'start', [], authority)
  await clock.settle(2_000)
  t.not(world.revision, ruled, 'what a verb does is a change')
  t.equal(answer()?.changes?.([]), undefined, 'other VMs: all of it')
  const target = { kind: 'PhysicalMachine', uuid: world.hosts[0]?.uuid ?? '', home: SELF }
  t.equal(world.knownAnswer({ target, verb: 'vms', args: none, element: 0 }, principal('blind')), undefined, 'who may not read is left to the gate')
  await t.rejects(world.invokeEncoded(target, 'vms', none, { ...authority, principal: principal('blind') }), { code: 'RMO_ERR_DENIED' })
  world.crash('sim1', 10_000)
  t.equal(world.knownAnswer({ target, verb: 'vms', args: none, element: 0 }, authority.principal), undefined)
  await t.rejects(world.invokeEncoded(target, 'vms', none, authority), { code: 'FABRIC_ERR_UNREACHABLE' })
  t.equal((await world.resolve('PhysicalMachine', authority)).length, 1)
  await clock.settle(10_000)
  t.equal((await world.resolve('PhysicalMachine', authority)).length, 2)
  await compare()
})
