import { test } from 'tap'
import { systemClock } from '../../fabric/base.ts'
import { createMachine, rmoKinds } from '../../rmo/mod.ts'
import { kindSuite } from '../conformance/kind.ts'
import type { KindSetup } from '../conformance/kind.ts'
import { authority, member } from '../support/rmo-fabric.ts'

/** An object of each kind to try it on. */
const SETUPS: Readonly<Record<string, KindSetup['setup']>> = {
  PhysicalMachine: async () => {
    const machine = createMachine({ self: () => member(1, 'alpha'), data: '/var/lib/kumoi', clock: systemClock })
    return { local: machine, teardown: () => machine.stop() }
  },
}

test('every kind of the registry can be tried', async (t) => {
  t.same(Object.keys(SETUPS).sort(), rmoKinds.kinds.map((kind) => kind.kind).sort())
})

for (const kind of rmoKinds.kinds) {
  const setup = SETUPS[kind.kind]
  if (setup !== undefined) test(kind.kind, (t) => kindSuite(t, { kind, setup, authority: authority() }))
}
