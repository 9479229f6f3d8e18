// Conformance of drivers: calls at once, deadlines, listeners, and the end.

import { randomUUID } from 'node:crypto'
import { refused, within } from './driver.ts'
import type { Check } from './driver.ts'

export const connectionChecks: readonly Check[] = [
  { id: 'parallel-define', title: 'of two definitions of one name at once, one is made', async run(t, world) {
    const uuids = [randomUUID(), randomUUID()]
    for (const uuid of uuids) world.removeAfter(t, uuid)
    const outcomes = await Promise.allSettled(uuids.map((uuid) => world.driver.domains.define(uuid, world.settings('at-once'), {}, world.call)))
    t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    const { domains } = await world.driver.inventory(world.call)
    t.equal(domains.filter(({ settings }) => settings.name === world.named('at-once')).length, 1)
  } },
  { id: 'parallel-start', title: 'started many times at once it runs once', async run(t, world) {
    const uuid = await world.domain(t, 'starts')
    await Promise.all(Array.from({ length: 4 }, () => world.driver.domains.start(uuid, {}, world.call)))
    t.equal(await world.state(uuid), 'running')
  } },
  { id: 'deadline', title: 'a call without time left does nothing and says so', async run(t, world) {
    const uuid = await world.domain(t, 'deadline')
    await refused(t, world.driver.domains.start(uuid, {}, within(0)), 'DRIVER_TIMEOUT', 'start')
    await refused(t, world.driver.inventory(within(0)), 'DRIVER_TIMEOUT', 'inventory')
    t.equal(await world.state(uuid), 'stopped')
  } },
  { id: 'cancelled', title: 'a call that was cancelled before it began does nothing', async run(t, world) {
    const uuid = await world.domain(t, 'cancelled')
    await t.rejects(world.driver.domains.start(uuid, {}, { ...world.call, signal: AbortSignal.abort(new Error('enough')) }))
    t.equal(await world.state(uuid), 'stopped')
  } },
  { id: 'listeners', title: 'who stopped listening hears nothing', async run(t, world) {
    const heard: unknown[] = []
    world.driver.onEvent((event) => heard.push(event))()
    const uuid = await world.domain(t, 'silence')
    await world.told(uuid, 'defined')
    t.strictSame(heard, [])
  } },
  { id: 'order', title: 'events of a domain come in the order of what happened', async run(t, world) {
    const heard: string[] = []
    const uuid = await world.domain(t, 'order')
    const stop = world.driver.onEvent((event) => { if (event.type === 'domain' && event.uuid === uuid && event.event !== 'defined') heard.push(event.event) })
    const { domains } = world.driver
    await domains.start(uuid, {}, world.call)
    await domains.suspend(uuid, world.call)
    await domains.resume(uuid, world.call)
    await domains.destroy(uuid, world.call)
    await world.told(uuid, 'stopped')
    stop()
    // A hypervisor may tell of the virtual processors' first step as well.
    const at = ['started', 'suspended', 'stopped'].map((event) => heard.indexOf(event))
    t.ok(at.every((index, i) => index > (at[i - 1] ?? -1)), heard.join(' '))
    t.ok(heard.lastIndexOf('resumed') > heard.indexOf('suspended'), heard.join(' '))
  } },
  { id: 'close', title: 'closed, it refuses calls; guests go on and are found by the next driver', async run(t, world) {
    const { driver, setup } = world
    const uuid = await world.running(t, 'left')
    await driver.close()
    await driver.close()
    t.notOk(driver.connected)
    await refused(t, driver.inventory(world.call), 'DRIVER_UNAVAILABLE', 'inventory')
    const next = await setup.again?.()
    if (next === undefined) return void t.fail('no second driver: name the reason in skip')
    t.teardown(() => next.close())
    await next.open()
    t.match(await next.domains.get(uuid, world.call), { state: 'running' })
    await next.domains.destroy(uuid, world.call)
    await next.domains.undefine(uuid, world.call)
  } },
]
