import { test } from 'tap'
import { openMemoryShell } from '../support/memory-shell.ts'
test('x', async (t) => {
  const { run, dc } = await openMemoryShell(t, ['alpha', 'beta'])
  const go = async (...a: string[]) => { const s = Date.now(); const r = await run(a); console.error(Date.now() - s, a.join(' '), r.status, r.stdout.slice(0, 1500), r.stderr.slice(0, 500)) }
  await go('vm', 'create', 'web1', '--host', 'beta', '--memory', '256')
  await go('vm', 'start', 'web1')
  await go('--as', 'tenant', 'vm', 'stop', 'web1')
  await go('pause', 'nono')
  { const s = Date.now(); console.error(await dc.vms.dmap(async (vm: { stop(o: object): Promise<unknown> }) => { await vm.stop({ force: true }) }).settled(), Date.now() - s) }
  await go('--json', 'audit', '--object', 'vm:web1', '--since', '1h')
  await go('--json', 'audit')
  await go('audit', 'verify')
})
