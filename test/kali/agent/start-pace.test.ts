// What a start on a new machine waits for: the hypervisor's answers about this VM, not a reading of everything that is there.

import { LIMITS } from '../../../fabric/base.ts'
import { test } from 'tap'
import type { HypervisorDriver } from '../../../rmo/driver/contract.ts'
import { until } from '../../support/until.ts'
import { createAgentLab, uuid } from './agent-lab.ts'

/** The driver, whose readings do not come back while `held`. */
function withSlowReadings(driver: HypervisorDriver, held: () => Promise<void> | undefined): HypervisorDriver {
  const inventory: HypervisorDriver['inventory'] = async (call) => { await held(); return driver.inventory(call) }
  return new Proxy(driver, {
    get(target, key) {
      if (key === 'inventory') return inventory
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

test('a VM runs while the inventory is still being read', async (t) => {
  let held: PromiseWithResolvers<void> | undefined
  const lab = await createAgentLab(['h1'], { wrap: (driver) => withSlowReadings(driver, () => held?.promise) })
  t.teardown(() => lab.stop())
  t.teardown(() => held?.resolve())
  held = Promise.withResolvers<void>()
  const made = uuid(1), restored = uuid(2)
  await lab.intend(lab.intent(made, 'h1'))
  await lab.intend(lab.intent(restored, 'h1', { origin: 'restore', epoch: 2 }))
  // Shorter than a reading may take before it is given up: what waits for one comes too late.
  for (const vm of [made, restored]) await until(`${vm} runs`, () => lab.view.status(vm)?.phase === 'running', LIMITS.hostReadTimeoutMs * 0.8)
  t.match(lab.node('h1').host.domains().map(({ state }) => state), ['running', 'running'])
})
