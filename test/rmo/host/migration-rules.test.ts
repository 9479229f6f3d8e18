// Access rules go with a VM: stored at the destination before it can be reached there, forgotten at the source after,
// given back when it does not come. Audit and account stay. And the destination's own gate is asked.

import { test } from 'tap'
import { RMO } from '../../../rmo/errors.ts'
import type { AclRule } from '../../../rmo/mod.ts'
import { createTestHosts, eventually } from '../../support/hosts.ts'
import type { TestHost, TestHosts, TestHostsOptions } from '../../support/hosts.ts'
import { authority } from '../../support/rmo-fabric.ts'

const RULES: readonly AclRule[] = [{ effect: 'deny', principal: 'local:0/tenant', verbs: ['operate', 'inspect'] }]
const NARROWER: readonly AclRule[] = [{ effect: 'deny', principal: '*', verbs: ['operate'] }]
const rulesAt = ({ ledger }: TestHost, uuid: string): readonly AclRule[] => ledger.rules({ kind: 'VM', uuid })

async function pair(t: { teardown(fn: () => unknown): unknown }, options: TestHostsOptions = {}): Promise<{ fabric: TestHosts; a: TestHost; b: TestHost }> {
  const fabric = await createTestHosts(['host1', 'host2'], options)
  t.teardown(() => fabric.stop())
  return { fabric, a: fabric.host('host1'), b: fabric.host('host2') }
}

test('rules are there before the VM is, as they are when it goes', async (t) => {
  const { fabric, a, b } = await pair(t)
  const vm = await a.add({ name: 'web' }, { start: true })
  const of = { kind: 'VM', uuid: vm.uuid }
  await a.ledger.setRules(of, RULES)
  const end = await a.ledger.log.begin({ operation: 'op', principal: 'local:0', trace: 't', verb: 'start', acl: 'operate', object: `VM/${vm.uuid}` })
  end({ outcome: 'done' })
  const seen: unknown[] = []
  let changing: Promise<void> | undefined
  fabric.intercept(({ body: { step } }, when) => {
    if (when === 'call' && step === 'complete') seen.push([rulesAt(b, vm.uuid), b.objects.get('VM', vm.uuid)])
    // Changed while its memory travels.
    if (when === 'answer' && step === 'accept') changing = a.ledger.setRules(of, NARROWER)
  })
  await vm.migrate(b.pm, {}, authority())
  await changing
  t.same(seen, [[RULES, undefined]], 'stored with the announcement, when nobody can reach it yet')
  t.same([rulesAt(a, vm.uuid), rulesAt(b, vm.uuid)], [[], NARROWER])
  t.same([(await a.ledger.audit(of, 9)).length, (await b.ledger.audit(of, 9)).length], [1, 0], 'what was done here is known here')
  await b.vm(vm.uuid).migrate(a.pm, {}, authority())
  t.same([rulesAt(a, vm.uuid), rulesAt(b, vm.uuid)], [NARROWER, []])
})

test('a VM that does not come leaves no rules behind, and keeps its own', async (t) => {
  const { a, b } = await pair(t)
  const vm = await a.add({ name: 'web' }, { start: true })
  await a.ledger.setRules({ kind: 'VM', uuid: vm.uuid }, RULES)
  b.driver.faults.failNext('acceptIncoming')
  await t.rejects(vm.migrate(b.pm, {}, authority()), { code: 'RMO_ERR_MIGRATION_REFUSED' })
  t.same([rulesAt(a, vm.uuid), rulesAt(b, vm.uuid)], [RULES, []])
  a.driver.faults.failNext('migrate')
  await t.rejects(vm.migrate(b.pm, {}, authority()), { code: 'RMO_ERR_MIGRATION_FAILED' })
  t.same([rulesAt(a, vm.uuid), rulesAt(b, vm.uuid)], [RULES, []])
})

test('hosts of one node share its ledger: the rules stay where they are', async (t) => {
  const { a, b } = await pair(t, { oneNode: true })
  const vm = await a.add({ name: 'web' }, { start: true })
  await a.ledger.setRules({ kind: 'VM', uuid: vm.uuid }, RULES)
  await vm.migrate(b.pm, {}, authority())
  t.same(rulesAt(b, vm.uuid), RULES)
  t.same([a.host.vmm.related('VM').length, b.host.vmm.related('VM').length], [0, 1], 'listed once')
})

test('removed for good, with its rules; only vanished, without', async (t) => {
  const { a } = await pair(t)
  const [web, db] = [await a.add({ name: 'web' }), await a.add({ name: 'db' })]
  for (const { uuid } of [web, db]) await a.ledger.setRules({ kind: 'VM', uuid }, RULES)
  await a.host.vmm.remove(web.reference(), {}, authority())
  a.driver.faults.removeForeign(db.uuid)
  await eventually(() => a.host.vms.get(db.uuid) === undefined)
  t.same([rulesAt(a, web.uuid), rulesAt(a, db.uuid)], [[], RULES])
})

test('the destination asks its own gate, for whoever moves it', async (t) => {
  const asked: string[] = []
  const { a, b } = await pair(t, {
    async admit(name, { principal }) {
      asked.push(`${name} ${principal}`)
      if (principal !== 'local:0') throw RMO.DENIED({ principal, kind: 'VMM', name, verb: 'add', acl: 'create', reason: 'a test says so' })
    },
  })
  const vm = await a.add({ name: 'web' }, { start: true })
  await t.rejects(vm.migrate(b.pm, {}, authority({ principal: 'local:0/tenant' })), { code: 'RMO_ERR_MIGRATION_REFUSED', message: /may not add VMs to VMM host2/ })
  t.equal(a.vm(vm.uuid).attributes().state, 'running')
  await vm.migrate(b.pm, {}, authority({ principal: 'local:0' }))
  t.same(asked, ['host2 local:0/tenant', 'host2 local:0'])
})
