// A machine that does not answer: what it has is never silently left out of a list, and the machine itself never is.

import t from 'tap'
import { openLab } from '../support/fabric-lab.ts'

t.setTimeout(90_000)
process.env['KUMOI_DRIVER'] = 'memory'
const lab = await openLab(t)
const [alpha, beta] = await lab.fabric(['alpha', 'beta'])
if (alpha === undefined || beta === undefined) throw new Error('two nodes')
const dc = await lab.connect(alpha, { defaults: { timeoutMs: 20_000 } })
for (const pm of await dc.pms) await pm.vmm.add(await pm.vmm.createVM({ name: `on-${pm.name}`, memoryMiB: 64 }))
t.same((await dc.vms).map((vm) => vm.name), ['on-alpha', 'on-beta'])
t.equal(await dc.vms.length, 2)

beta.signal('SIGSTOP')
t.teardown(() => beta.signal('SIGCONT'))

t.test('a collection of what machines have rejects', async (t) => {
  await t.rejects(Promise.resolve(dc.vms), { code: 'RMO_ERR_LIST_INCOMPLETE', details: { kind: 'VM', failed: ['beta'] }, message: /beta/ })
})

t.test('list() gives what there is, and who is missing', async (t) => {
  const { objects, failures } = await dc.list('VM')
  t.same(objects.map(({ name }) => name), ['on-alpha'])
  t.match(failures, [{ name: 'beta', code: String, message: String }])
})

t.test('the machine is a member all the same, and counted without being asked', async (t) => {
  t.equal(await dc.pms.length, 2)
  const pms = await dc.pms
  t.same(pms.map((pm) => pm.name), ['alpha', 'beta'])
  t.equal(pms[1]?.cpuRatio, undefined, 'without figures')
})

t.test('the shell lists what there is, warns, and fails', async (t) => {
  const { status, stdout, stderr } = await lab.run(alpha, ['vms'])
  t.equal(status, 1)
  t.match(stdout, 'on-alpha')
  t.match(stderr, 'warning: beta did not answer, its virtual machines are not listed')
})
