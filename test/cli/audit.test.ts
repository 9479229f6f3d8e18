// `kumoi audit`, verify and export on two real nodes: who did what is told, whole logs are sound, a changed file is not.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { openMemoryShell } from '../support/memory-shell.ts'

interface Row { readonly nodeName: string; readonly seq: number; readonly atMs: number; readonly verb: string; readonly principal: string; readonly object: string; readonly name?: string; readonly phase: string; readonly outcome?: string; readonly error?: string; readonly code?: string }
const rowsOf = (text: string): Row[] => text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Row)

test('audit of two nodes', async (t) => {
  const { run, directory, dc } = await openMemoryShell(t, ['alpha', 'beta'])
  t.equal((await run(['vm', 'create', 'web1', '--host', 'beta', '--memory', '256'])).status, 0)
  t.equal((await run(['vm', 'start', 'web1'])).status, 0)
  await run(['--as', 'tenant', 'vm', 'stop', 'web1'])
  await run(['pause', 'no-such-function'])
  await dc.vms.dmap((vm) => vm.destroy())

  await t.test('records of all nodes, by object, user and node', async (t) => {
    const { stdout, status } = await run(['--json', 'audit', '--object', 'vm:web1', '--since', '1h'])
    t.equal(status, 0)
    const rows = rowsOf(stdout)
    t.same(rows.map(({ verb, phase, outcome }) => [verb, phase, outcome]), [['start', 'intent', undefined], ['start', 'outcome', 'done'], ['stop', 'refused', undefined], ['destroy', 'intent', undefined], ['destroy', 'outcome', 'done']])
    t.ok(rows.every(({ nodeName, name }) => nodeName === 'beta' && name === 'web1'))
    t.match(rows[2], { principal: 'local:0/tenant', error: /^RMO_ERR_DENIED/ })
    t.match(rows[3]?.code, /^[0-9a-f]{64}$/, 'the program that asked')
    const tenant = rowsOf((await run(['--json', 'audit', '--user', 'local:0/tenant'])).stdout)
    t.same(tenant.map(({ verb }) => verb), ['stop'])
    const alpha = rowsOf((await run(['--json', 'audit', '--node', 'alpha'])).stdout)
    t.ok(alpha.every(({ nodeName }) => nodeName === 'alpha'))
    t.match(alpha.filter(({ verb }) => verb === 'pause'), [{ object: 'function/no-such-function', phase: 'intent' }, { outcome: 'failed' }])
    t.ok(alpha.some(({ verb }) => verb === 'ticket'), 'what is asked of the node itself')
    const all = rowsOf((await run(['--json', 'audit'])).stdout)
    t.same(all.map(({ atMs }) => atMs), all.map(({ atMs }) => atMs).sort((a, b) => a - b), 'in the order of time')
    const human = await run(['audit', '--object', 'vm:web1', '--lines', '1'])
    t.match(human.stdout, /beta#\d+ {2}local:0 {2}destroy {2}VM\/web1 {2}done/)
    t.equal((await run(['audit', '--node', 'gamma'])).status, 1)
    t.equal((await run(['--as', 'tenant', 'audit'])).status, 1, 'who is narrowed does not read it')
    t.equal((await run(['audit', 'nonsense'])).status, 2)
  })

  await t.test('following tells what comes', async (t) => {
    const end = new AbortController()
    const seen: string[] = []
    for await (const row of dc.audit.list({ follow: true, object: 'vm:web1', limit: 1, signal: end.signal })) {
      if ('notice' in row) continue
      seen.push(`${row.verb} ${row.phase}`)
      if (seen.length === 1) void run(['vm', 'start', 'web1'])
      if (seen.length === 3) break
    }
    t.same(seen, ['destroy outcome', 'start intent', 'start outcome'])
  })

  await t.test('verify: each is the other\'s witness', async (t) => {
    const { stdout, status, stderr } = await run(['audit', 'verify'])
    t.equal(status, 0, stderr)
    t.match(stdout, /alpha .* 1 agree .* sound/)
    t.match(stdout, /beta .* 1 agree .* sound/)
    t.match(JSON.parse((await run(['--json', 'audit', 'verify', '--node', 'beta'])).stdout), [{ name: 'beta', verdict: 'sound', findings: [], witnesses: [{ name: 'alpha', says: 'agrees' }] }])
  })

  await t.test('an export is judged without a node, and a change of it is found', async (t) => {
    const file = join(directory, 'audit.jsonl')
    await writeFile(file, (await run(['audit', 'export'])).stdout)
    const whole = await run(['audit', 'verify', '--file', file])
    t.equal(whole.status, 0, whole.stderr)
    t.match(whole.stderr, /the fabric that the file names/)
    await writeFile(file, (await readFile(file, 'utf8')).replace('"verb":"start"', '"verb":"stop"'))
    const changed = await run(['audit', 'verify', '--file', file])
    t.equal(changed.status, 1)
    t.match(changed.stderr, /rewritten/)
    const { fabric } = await dc.node()
    await writeFile(file, (await run(['audit', 'export', '--node', 'alpha'])).stdout)
    t.equal((await run(['audit', 'verify', '--file', file, '--fabric', fabric])).status, 0)
    t.equal((await run(['audit', 'verify', '--file', file, '--fabric', 'b'.repeat(64)])).status, 1, 'signed in another fabric')
    await writeFile(file, 'not json\n')
    t.match((await run(['audit', 'verify', '--file', file])).stderr, /no export of an audit log/)
  })
})
