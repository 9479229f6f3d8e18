// Control groups of cells on plain folders laid out as the kernel lays them out: version 1, version 2, neither; and users.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import { CellGroups, findGroupPlaces } from '../../../functions/sandbox/kernel/cell-group.ts'
import { CELL_UID_FIRST, takeCellUser } from '../../../functions/sandbox/kernel/cell-users.ts'

const root = mkdtempSync(join(tmpdir(), 'kumoi-groups-'))
t.teardown(() => rmSync(root, { recursive: true, force: true }))
const MiB = 1024 * 1024

t.test('version 1: below the node\'s own group in each hierarchy, also where a container sees part of it', async (t) => {
  const mounts = [
    '30 24 0:25 /box /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
    '31 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct',
    '32 24 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids',
    '33 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
  ].join('\n')
  const places = findGroupPlaces(mounts, '4:memory:/box/kumoi\n3:cpu,cpuacct:/slice\n2:pids:/\n0::/')
  t.equal(places?.version, 1)
  t.same([...places?.folders ?? []], [['memory', '/sys/fs/cgroup/memory/kumoi'], ['pids', '/sys/fs/cgroup/pids'], ['cpu', '/sys/fs/cgroup/cpu,cpuacct/slice']])
  t.equal(findGroupPlaces('33 24 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw', '0::/x'), undefined, 'nothing handed on')
  t.equal(findGroupPlaces('', ''), undefined)
})

t.test('version 2: beside the node\'s own group, which may not have both processes and groups', async (t) => {
  const own = join(root, 'system.slice', 'kumoi.service')
  mkdirSync(own, { recursive: true })
  writeFileSync(join(own, 'cgroup.subtree_control'), '')
  writeFileSync(join(root, 'system.slice', 'cgroup.subtree_control'), 'cpu memory pids\n')
  const places = findGroupPlaces(`33 24 0:28 / ${root} rw - cgroup2 cgroup2 rw`, '0::/system.slice/kumoi.service')
  t.equal(places?.version, 2)
  t.equal(places?.folders.get('memory'), join(root, 'system.slice'))
  if (places === undefined) return
  mkdirSync(join(root, 'system.slice', 'kumoi-cell-999999999-1'))
  const groups = new CellGroups(places)
  t.notOk(existsSync(join(root, 'system.slice', 'kumoi-cell-999999999-1')), 'left by a dead node')
  const group = groups.make(2)
  group.add(42)
  const folder = join(root, 'system.slice', readdirSync(join(root, 'system.slice')).find((name) => name.startsWith(`kumoi-cell-${process.pid}-`)) ?? '')
  t.equal(readFileSync(join(folder, 'memory.max'), 'utf8'), String(LIMITS.cellGroupMiBMax * MiB))
  t.equal(readFileSync(join(folder, 'memory.swap.max'), 'utf8'), '0')
  t.equal(readFileSync(join(folder, 'pids.max'), 'utf8'), String(LIMITS.cellThreadsMax))
  t.equal(readFileSync(join(folder, 'cpu.max'), 'utf8'), '300000 100000')
  t.equal(readFileSync(join(folder, 'cgroup.procs'), 'utf8'), '42')
  t.notOk(group.ranOut())
  writeFileSync(join(folder, 'memory.events'), 'low 0\noom 1\noom_kill 1\n')
  writeFileSync(join(folder, 'memory.peak'), String(100 * MiB))
  t.ok(group.ranOut())
  t.equal(group.peakMiB(), 100)
})

t.test('users: never root, one for each, given back, bounded, apart from those of other processes', async (t) => {
  const users = Array.from({ length: LIMITS.cellUsersMax }, () => takeCellUser(77))
  const numbers = users.map((user) => user?.uid ?? 0)
  t.equal(new Set(numbers).size, LIMITS.cellUsersMax)
  t.ok(numbers.every((uid) => uid >= CELL_UID_FIRST && uid < 2 ** 31))
  t.equal(takeCellUser(77), undefined)
  users[5]?.leave()
  t.equal(takeCellUser(77)?.uid, numbers[5])
  for (const user of users) user?.leave()
  const other = takeCellUser(78)
  t.notOk(numbers.includes(other?.uid ?? 0))
  other?.leave()
})
