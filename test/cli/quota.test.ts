// `kumoi quota` through the shell's door, on a real node with simulated machines.

import t from 'tap'
import { openMemoryShell } from '../support/memory-shell.ts'

t.test('a quota is set, changed, seen, binds, and goes', async (t) => {
  const shell = await openMemoryShell(t, ['quota-a'])
  const run = (line: string) => shell.run(line.split(' '))
  t.match(await run('quota list'), { status: 0, stdout: '', stderr: /No quotas/ })
  t.match(await run('pool create lab'), { status: 0 })
  t.match(await run('quota set pool:lab vms=1'), { status: 0, stdout: 'pool:lab: vms 0 of 1 (0%), vcpus 0, memory 0 B\n' })
  t.match(await run('quota set group:lab vcpus=16 memory=32GiB'), { status: 0, stdout: /vcpus 0 of 16 \(0%\), memory 0 B of 32\.0 GiB/ })
  t.match(await run('quota set user:Alice vms=4'), { status: 0 })
  t.match(await shell.json('quota', 'list'), [
    { scope: 'group:lab', limit: { vcpus: 16, memoryMiB: 32_768 }, booked: { vms: 0 } }, { scope: 'pool/lab', limit: { vms: 1 } }, { scope: 'user:alice', limit: { vms: 4 } },
  ])
  t.match(await run('quota set group:lab vcpus=none'), { status: 0, stdout: /vcpus 0, memory 0 B of 32/ }, 'what is not named stays')
  t.match(await run('pool add lab quota-a'), { status: 0 })
  const list = await run('quota list')
  t.match(list.stdout, /^scope +vms +vcpus +memory\n/)
  for (const [line, problem] of [
    ['quota set group:lab memory=32', /no amount of memory/], ['quota set group:lab vcpus=two', /no whole number/], ['quota set group:lab disks=1', /limits nothing/],
  ] as const) t.match(await run(line), { status: 2, stderr: problem }, line)
  t.match(await run('quota set pool:nosuch vms=1'), { status: 1, stderr: /KALI_ERR_POOL_UNKNOWN/ })
  t.match(await run('quota set group:a/b vms=1'), { status: 1, stderr: /KALI_ERR_TRUST_NAME/ })
  t.match(await run('quota set everybody vms=1'), { stderr: /pool:NAME/ })
  t.match(await run('quota rm group:lib'), { status: 1, stderr: /Did you mean group:lab/ })
  t.match(await run('quota rm group:lab'), { status: 0 })
  t.match(await run('quota rm group:lab'), { status: 1, stderr: /no quota "group:lab"/ })
  t.match(await run('quota rm pool:lab'), { status: 0 })
})
