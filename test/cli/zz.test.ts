import { test } from 'tap'
import { openMemoryShell } from '../support/memory-shell.ts'
test('x', async (t) => {
  const { run, dc } = await openMemoryShell(t, ['alpha', 'beta'])
  console.error(await dc.pms.with({ timeoutMs: 8000 }).dmap((pm) => pm.name).settled())
  await run(['vm', 'create', 'web1', '--host', 'beta', '--memory', '256'])
  console.error(await dc.vms.with({ timeoutMs: 8000 }).dmap((pm) => pm.name).settled())
  console.error(await dc.vms.with({ timeoutMs: 8000 }).dmap((pm) => pm.start()).settled())
})
