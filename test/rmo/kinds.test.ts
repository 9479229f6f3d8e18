import { test } from 'tap'
import { seededRandom, systemClock } from '../../fabric/base.ts'
import { createMemorySwitches } from '../../rmo/driver/switch/memory.ts'
import type { LocalSwitch } from '../../rmo/kinds/switch.ts'
import { createMachine, rmoKinds } from '../../rmo/mod.ts'
import { kindSuite } from '../conformance/kind.ts'
import type { KindSetup } from '../conformance/kind.ts'
import { authority, member, must } from '../support/rmo-fabric.ts'
import { SWITCH_MACHINE, openSwitchHost } from '../support/switch-host.ts'

/** A switch with one port. */
async function switchObject(kind: 'Switch' | 'Port'): ReturnType<KindSetup['setup']> {
  const driver = createMemorySwitches({ machineUuid: SWITCH_MACHINE, random: seededRandom(1), hostName: () => 'alpha' })
  const host = await openSwitchHost(driver)
  const { uuid } = await host.room.createSwitch({ name: 'sw0', type: 'openvswitch' }, authority())
  await (must(host.objects.get('Switch', uuid)).local as LocalSwitch).addPort({ name: 'dev0', vlan: { tag: 10 } }, authority())
  return { local: must(host.objects.list(kind)[0]).local, teardown: () => host.close() }
}

/** An object of each kind to try it on. */
const SETUPS: Readonly<Record<string, KindSetup['setup']>> = {
  PhysicalMachine: async () => {
    const machine = createMachine({ self: () => member(1, 'alpha'), data: '/var/lib/kumoi', clock: systemClock })
    return { local: machine, teardown: () => machine.stop() }
  },
  Switch: async () => switchObject('Switch'),
  Port: async () => switchObject('Port'),
}

test('every kind of the registry can be tried', async (t) => {
  t.same(Object.keys(SETUPS).sort(), rmoKinds.kinds.map((kind) => kind.kind).sort())
})

for (const kind of rmoKinds.kinds) {
  const setup = SETUPS[kind.kind]
  if (setup !== undefined) test(kind.kind, (t) => kindSuite(t, { kind, setup, authority: authority() }))
}
