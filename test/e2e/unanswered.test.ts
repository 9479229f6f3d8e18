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

t.test('everybody answers', async (t) => {
  t.same((await dc.vms).map((vm) => vm.name), ['on-alpha', 'on-beta'])
  t.equal(await dc.vms.length, 2)
})

// All at once: after some seconds of silence the members would declare it dead, and dead machines are not asked.
t.test('one is silent', async (t) => {
  beta.signal('SIGSTOP')
  try {
    const collection = t.rejects(Promise.resolve(dc.vms), { code: 'RMO_ERR_LIST_INCOMPLETE', details: { kind: 'VM', failed: ['beta'] }, message: /beta/ }, 'a collection of what machines have')
    const [listing, shell, count, pms] = await Promise.all([dc.list('VM'), lab.run(alpha, ['vms']), dc.pms.length, dc.pms])
    await collection
    t.same(listing.objects.map(({ name }) => name), ['on-alpha'], 'list() gives what there is')
    t.match(listing.failures, [{ name: 'beta', code: String, message: String }], 'and who is missing')
    t.equal(count, 2, 'a machine is a member all the same, and counted without being asked')
    t.same(pms.map(({ name, cpuRatio }) => [name, typeof cpuRatio]), [['alpha', 'number'], ['beta', 'undefined']])
    t.equal(shell.status, 1)
    t.match(shell.stdout, 'on-alpha')
    t.match(shell.stderr, 'warning: beta did not answer, its virtual machines are not listed')
  } finally {
    beta.signal('SIGCONT')
  }
})
