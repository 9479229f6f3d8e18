// `kumoi account` on real nodes with simulated machines: what ran is counted where it ran, by whom, over a migration, and a
// user sees his own.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openMemoryShell } from '../support/memory-shell.ts'
import { until } from '../support/fabric-lab.ts'

interface Printed { readonly lines: readonly Readonly<Record<string, number | string>>[]; readonly total: Readonly<Record<string, number>>; readonly silent: readonly unknown[]; readonly currency?: string }

t.test('VMs are counted on the machine that they run on, once, also while they move, and priced', async (t) => {
  const shell = await openMemoryShell(t, ['acc-a', 'acc-b'])
  const run = (line: string) => shell.run(line.split(' '))
  const account = async (...args: readonly string[]): Promise<Printed> => await shell.json('account', ...args) as Printed
  t.match(await run('account'), { status: 0, stdout: '', stderr: /Nothing was used/ })
  const startedMs = performance.now()
  t.match(await run('vm create web1 --host acc-a --memory 512 --vcpus 2 --start'), { status: 0 })
  await until('it is counted', async () => ((await account()).total['vmHours'] ?? 0) > 0)
  t.match(await run('vm migrate web1 acc-b'), { status: 0 })
  await until('it is counted on both', async () => (await account('--by', 'node')).lines.length === 2)
  const { total, lines, silent } = await account('--by', 'vm')
  t.ok((total['vmHours'] ?? 0) * 3_600_000 <= performance.now() - startedMs, 'not more than the time that passed')
  t.match(lines, [{ vm: 'web1' }])
  t.equal(lines.length, 1, 'one VM, whose hours on both machines are added up')
  t.same(silent, [])
  const ms = (what: string): number => (total[what] ?? 0) * 3_600_000
  t.ok(Math.abs(ms('vcpuHours') - 2 * ms('vmHours')) < 10, 'parts of a millisecond apart')
  t.ok(Math.abs(ms('memoryGiBHours') - ms('vmHours') / 2) < 10)
  t.match((await account()).lines, [{ user: /^local:\d+$/ }])

  const prices = join(shell.directory, 'prices.json')
  await writeFile(prices, JSON.stringify({ currency: 'EUR', vcpuHour: 3_600_000 }))
  t.match(await run(`account --prices ${prices}`), { status: 0, stdout: /user .*EUR\nlocal:\d+ .*\ntotal / })
  t.notOk((await account()).currency, 'only for that question')
  t.match(await run(`account prices set ${prices}`), { status: 0, stdout: /vcpuHour +3600000/ })
  t.equal((await account()).currency, 'EUR')
  t.match(await run('account prices rm'), { status: 0, stderr: /No prices are set/ })
  await writeFile(prices, JSON.stringify({ currency: 'EUR', vcpuHours: 1 }))
  t.match(await run(`account prices set ${prices}`), { status: 1, stderr: /KALI_ERR_PRICES_INVALID/ })
  await writeFile(prices, 'EUR 1')
  t.match(await run(`account prices set ${prices}`), { status: 2, stderr: /cannot be read/ })
  t.match(await run('account prices set'), { status: 2, stderr: /which file/ })
  t.match(await run('account --since 1h --until 2h'), { status: 2, stderr: /--until/ })
  t.match(await run('account --user nobody'), { status: 0, stderr: /Nothing was used/ })
  t.match(await run('vm rm web1 --force'), { status: 0 })
  t.ok(((await account()).total['vmHours'] ?? 0) >= (total['vmHours'] ?? 0), 'what is gone was used all the same')
})
