// What a guard is asked, when, and what becomes of its answers.

import { test } from 'tap'
import { CodedError, errorCode } from '../../../fabric/base.ts'
import type { VmGuard } from '../../../rmo/host/contract.ts'
import { createTestHosts } from '../../support/hosts.ts'
import type { TestHosts } from '../../support/hosts.ts'
import { authority } from '../../support/rmo-fabric.ts'

const codeOf = (work: Promise<unknown>): Promise<string | undefined> => work.then(() => undefined, (error: unknown) => errorCode(error) ?? String(error))
const REFUSED = 'KALI_ERR_EPOCH_STALE'

interface Guarded { readonly hosts: TestHosts; readonly heard: string[]; rule: { asked?: string; before?: 'refuse'; after?: 'false' } }
async function guarded(t: { teardown(fn: () => unknown): unknown }, names: readonly string[] = ['host1'], options: { readonly oneNode?: boolean } = {}): Promise<Guarded> {
  const heard: string[] = []
  const it: Pick<Guarded, 'rule'> = { rule: {} }
  const guard = (host: string): VmGuard => ({
    async asked({ name }, verb) {
      heard.push(`${host}: ${verb} ${name}?`)
      if (it.rule.asked === verb) throw new CodedError('no', { code: REFUSED })
    },
    async beforeRun({ name, epoch, arrives }) {
      heard.push(`${host}: run ${name}${epoch === undefined ? '' : ` in ${epoch}`}${arrives === undefined ? '' : ` ${arrives}`}?`)
      if (it.rule.before === 'refuse') throw new CodedError('no', { code: REFUSED })
      return () => { heard.push(`${host}: still?`); return it.rule.after !== 'false' }
    },
  })
  const hosts = await createTestHosts(names, { ...options, guard })
  t.teardown(() => hosts.stop())
  return Object.assign(it, { hosts, heard }) as Guarded
}

test('each verb asks first, and each start again after', async (t) => {
  const { hosts, heard } = await guarded(t)
  const it = hosts.host('host1'), by = authority()
  const vm = await it.add({ name: 'a' }, { start: true })
  t.same(heard.splice(0), ['host1: run a?', 'host1: still?'])
  await vm.suspend(by)
  await vm.resume(by)
  t.same(heard.splice(0), ['host1: run a?', 'host1: still?'], 'what is wanted stays as it is')
  await vm.stop({}, by)
  await vm.start({}, by)
  await vm.start({}, by)
  await vm.save(by)
  await vm.start({}, by)
  await vm.destroy(by)
  await it.host.vmm.remove(vm.reference(), {}, by)
  t.same(heard, [
    'host1: stop a?', 'host1: start a?', 'host1: run a?', 'host1: still?', 'host1: start a?', 'host1: save a?', 'host1: start a?', 'host1: run a?', 'host1: still?',
    'host1: destroy a?', 'host1: remove a?',
  ])
})

test('what is refused is not done', async (t) => {
  const it = await guarded(t)
  const host = it.hosts.host('host1'), by = authority()
  const vm = await host.add({ name: 'a' })
  it.rule = { before: 'refuse' }
  t.equal(await codeOf(vm.start({}, by)), REFUSED)
  t.equal(vm.attributes().state, 'stopped')
  t.equal(await codeOf(host.add({ name: 'b' }, { start: true })), REFUSED)
  t.equal(host.host.vms.byName('b'), undefined, 'all or nothing')
  it.rule = {}
  await vm.start({}, by)
  for (const [verb, act] of [['stop', () => vm.stop({}, by)], ['destroy', () => vm.destroy(by)], ['save', () => vm.save(by)], ['remove', () => host.host.vmm.remove(vm.reference(), { force: true }, by)]] as const) {
    it.rule = { asked: verb }
    t.equal(await codeOf(act()), REFUSED, verb)
    t.equal(vm.attributes().state, 'running')
  }
})

test('a right that was lost while it started: destroyed at once', async (t) => {
  const it = await guarded(t)
  const host = it.hosts.host('host1'), by = authority()
  const vm = await host.add({ name: 'a' })
  it.rule = { after: 'false' }
  t.equal(await codeOf(vm.start({}, by)), 'RMO_ERR_NOT_ITS_OWN')
  t.equal((await host.driver.domains.get(vm.uuid, { remainingMs: () => 1_000 }))?.state, 'stopped')
  t.equal(vm.attributes().state, 'stopped')
})

test('a migration is asked of at its source, and again where it arrives', async (t) => {
  const it = await guarded(t, ['host1', 'host2'])
  const [from, to] = [it.hosts.host('host1'), it.hosts.host('host2')]
  const vm = await from.add({ name: 'a' }, { start: true })
  it.heard.length = 0
  it.rule = { asked: 'migrate' }
  t.equal(await codeOf(vm.migrate(to.pm, {}, authority())), REFUSED)
  it.rule = { before: 'refuse' }
  t.equal(await codeOf(vm.migrate(to.pm, {}, authority())), 'RMO_ERR_MIGRATION_REFUSED')
  t.equal(vm.attributes().state, 'running')
  it.rule = {}
  it.heard.length = 0
  await vm.migrate(to.pm, {}, authority())
  t.same(it.heard, ['host1: migrate a?', 'host2: run a by-migration?', 'host2: still?', 'host2: run a by-migration?', 'host2: still?'])
  t.equal(to.vm(vm.uuid).attributes().state, 'running')
})
