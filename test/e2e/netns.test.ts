// Three machines as network namespaces on one bridge: formed with `up`, `ticket` and `up --join`, asked
// every one-liner of the README's first session, left with `down`. Needs root and iproute2; skips with the
// reason otherwise.

import { execFileSync } from 'node:child_process'
import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openLab, until, within } from '../support/fabric-lab.ts'
import type { LabNode } from '../support/fabric-lab.ts'
import type { RunResult } from '../support/processes.ts'

const PREFIX = 'ke2e'
const MACHINES = 4
const ip = (...argv: string[]): string => execFileSync('ip', argv, { stdio: ['ignore', 'pipe', 'pipe'] }).toString()
const quietly = (...argv: string[]): void => { try { ip(...argv) } catch { /* it was not there */ } }
const namespaceOf = (index: number): string => `${PREFIX}-${index}`
const hostOf = (index: number): string => `10.91.${index}.1`

const obstacle = ((): string | undefined => {
  if (process.getuid?.() !== 0) return 'needs root (network namespaces)'
  try {
    ip('netns', 'add', `${PREFIX}-try`)
    ip('netns', 'del', `${PREFIX}-try`)
    return undefined
  } catch {
    return 'absent: ip with network namespaces'
  }
})()

function removeMachines(): void {
  for (let index = 1; index <= MACHINES; index++) {
    quietly('netns', 'del', namespaceOf(index))
    quietly('link', 'del', `${PREFIX}-v${index}`)
  }
  quietly('link', 'del', `${PREFIX}-br`)
}

function buildMachines(): void {
  ip('link', 'add', `${PREFIX}-br`, 'type', 'bridge')
  ip('link', 'set', `${PREFIX}-br`, 'up')
  for (let index = 1; index <= MACHINES; index++) {
    const namespace = namespaceOf(index)
    ip('netns', 'add', namespace)
    ip('link', 'add', `${PREFIX}-v${index}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace)
    ip('link', 'set', `${PREFIX}-v${index}`, 'master', `${PREFIX}-br`, 'up')
    ip('-n', namespace, 'link', 'set', 'lo', 'up')
    ip('-n', namespace, 'addr', 'add', `${hostOf(index)}/16`, 'dev', 'eth0')
    ip('-n', namespace, 'link', 'set', 'eth0', 'up')
  }
}

/** The one JSON value on stdout. */
function jsonOf<T>(result: RunResult): T {
  const lines = result.stdout.split('\n')
  if (result.status !== 0 || lines.length !== 2 || lines[1] !== '') throw new Error(`no single JSON line, status ${result.status}: ${result.stdout}${result.stderr}`)
  return JSON.parse(lines[0] ?? '') as T
}

t.setTimeout(150_000)
t.test('three machines', { skip: obstacle ?? false, timeout: 120_000 }, async (t) => {
  removeMachines()
  t.teardown(removeMachines)
  buildMachines()
  const lab = await openLab(t)
  const up = (index: number, name: string, ticket?: string): Promise<LabNode> =>
    lab.up({ name, listen: hostOf(index), namespace: namespaceOf(index), ...(ticket === undefined ? {} : { join: ticket }) })
  const alpha = await up(1, 'alpha')
  const { stdout } = await lab.run(alpha, ['ticket'])
  t.match(stdout, /^kumoi1\S+\n$/, 'one word, nothing else on stdout')
  const ticket = stdout.trim()
  const [beta, gamma] = await Promise.all([up(2, 'beta', ticket), up(3, 'gamma', ticket)])
  t.match([alpha, beta, gamma].map((node) => node.info.addresses[0]), [/^10\.91\.1\.1:/, /^10\.91\.2\.1:/, /^10\.91\.3\.1:/])
  await lab.settled([alpha, beta, gamma])
  const ask = (...args: string[]): Promise<RunResult> => lab.run(gamma, args)

  await t.test('the one-liners', async (t) => {
    const table = await ask('nodes')
    t.equal(table.status, 0, table.stderr)
    t.match(table.stdout, /name\s+state\s+address\s+cpu\s+memory\s+version\s+since/)
    for (const name of ['alpha', 'beta', 'gamma']) t.match(table.stdout, new RegExp(`${name}\\s+alive\\s+10\\.91\\.\\d\\.1:\\d+\\s+\\d+%\\s+.*GiB.*0\\.1\\.0`))
    t.match(jsonOf(await ask('--json', 'nodes')), [{ name: 'alpha', state: 'alive' }, { name: 'beta' }, { name: 'gamma' }])

    const names = await ask('pms.dmap(pm => pm.name)')
    t.same([names.status, names.stdout, names.stderr], [0, 'alpha\nbeta\ngamma\n', ''])
    t.same(jsonOf(await ask('--json', 'pms.dmap(pm => pm.name)')), ['alpha', 'beta', 'gamma'])
    const idle = jsonOf<string[]>(await ask('--json', 'pms.dfilter(pm => pm.cpuRatio < 0.5).dmap(pm => pm.name)'))
    t.ok(idle.every((name) => ['alpha', 'beta', 'gamma'].includes(name)))
    const captured = await ask('--json', 'const limit = 0.9; pms.dfilter(pm => pm.memoryFreeRatio < 1 - limit).dmap(pm => pm.name)')
    t.ok(jsonOf<string[]>(captured).length <= 3)
    t.same(jsonOf(await ask('--json', 'const limit = 0; pms.dfilter(pm => pm.memoryFreeRatio < 1 - limit).dmap(pm => pm.name)')), ['alpha', 'beta', 'gamma'], 'the captured variable counts')
    const release = execFileSync('uname', ['-r']).toString()
    t.match(jsonOf(await ask('--json', "pms.dmap(pm => pm.exec('uname', ['-r'])).settled()")), ['alpha', 'beta', 'gamma'].map((nodeName, index) => ({ status: 'value', index, nodeName, value: { code: 0, stdout: release } })))
    const settled = await ask("pms.dmap(pm => pm.exec('uname', ['-r'])).settled()")
    t.equal(settled.status, 0, settled.stderr)
    for (const name of ['alpha', 'beta', 'gamma']) t.match(settled.stdout, name)
    const merged = await ask('--merge', "pms.dmap(async pm => (await pm.exec('uname', ['-r'])).stdout.trim())")
    t.equal(merged.stdout.split(release.trim()).length, 2, 'equal answers once')
    const sum = jsonOf<number>(await ask('--json', 'range(1e6).dmap(x => x * x).dreduce((a, b) => a + b)'))
    t.ok(Math.abs(sum / 333_332_833_333_500_000 - 1) < 1e-12)
    const info = jsonOf<{ pid: number; version: string; data: string }[]>(await ask('--json', 'pms.dmap(pm => pm.info())'))
    t.same(info.map(({ pid, version, data }) => ({ pid, version, data })), [alpha, beta, gamma].map(({ pid, data, info: { version } }) => ({ pid, version, data })))
    t.same((jsonOf<{ stdout: string }[]>(await ask('--json', "pms.dmap(pm => pm.exec('ip', ['-4', '-o', 'addr', 'show', 'eth0']))"))).map(({ stdout }) => /10\.91\.\d\.1/.exec(stdout)?.[0]), [1, 2, 3].map(hostOf), 'each asked its own machine')
    t.equal(statSync(join(alpha.data, 'node.sock')).mode & 0o777, 0o600)
  })

  await t.test('failures: exit codes, what came back first, one JSON value', async (t) => {
    const some = await ask("pms.dmap(pm => { if (pm.name === 'beta') throw new Error('no luck'); return pm.name })")
    t.equal(some.status, 1)
    t.match(some.stdout, /alpha[\s\S]*gamma/)
    t.match(some.stderr, /beta[\s\S]*no luck/)
    const json = await ask('--json', "pms.dmap(pm => { if (pm.name === 'beta') throw new Error('no luck'); return pm.name })")
    t.equal(json.status, 1)
    t.doesNotThrow(() => JSON.parse(json.stdout) as unknown, json.stdout)
    t.equal(json.stdout.trim().split('\n').length, 1)
    t.match(await ask('pms.nosuch()'), { status: 1, stdout: '' })
    t.match(await ask('--nosuch', '1'), { status: 2, stdout: '' })
    t.match(await ask('1 +'), { status: 1, stdout: '', stderr: /cannot be read/ })
    t.match(await lab.run({ data: lab.dir('nobody') }, ['nodes']), { status: 3, stdout: '', stderr: /kumoi up/ })
    const bounded = await ask('--timeout', '2s', 'pms.dmap(() => { for (;;); })')
    t.match(bounded, { status: 1, stderr: /alpha +0 +timeout[\s\S]*gamma +2 +timeout/ })
    const piped = await lab.run(gamma, ['-'], { input: 'const who = "x"\npms.dmap(pm => who + pm.name)\n' })
    t.equal(piped.stdout, 'xalpha\nxbeta\nxgamma\n', piped.stderr)
  })

  await t.test('a script, from a directory that knows nothing of us', async (t) => {
    const elsewhere = lab.dir('elsewhere')
    mkdirSync(elsewhere)
    writeFileSync(join(elsewhere, 'limits.ts'), 'export const limit: number = 2\nexport const label = (name: string): string => `<${name}>`\n')
    writeFileSync(join(elsewhere, 'report.ts'), `import { connect } from 'kumoi'
import { limit, label } from './limits.ts'
const dc = await connect()
const since = process.argv[process.argv.indexOf('--since') + 1]
const names = await dc.pms.dfilter(pm => pm.cpuRatio < limit).dmap(pm => label(pm.name) + since)
console.log(names.join(' '))
await dc.close()
`)
    const ran = await lab.run(gamma, ['run', 'report.ts', '--since', 'yesterday'], { cwd: elsewhere })
    t.same([ran.status, ran.stdout, ran.stderr], [0, '<alpha>yesterday <beta>yesterday <gamma>yesterday\n', ''])
    writeFileSync(join(elsewhere, 'fails.ts'), "import { connect } from 'kumoi'\nconst dc = await connect()\nawait dc.pms.dmap(() => { throw new Error('from afar') })\n")
    t.match(await lab.run(gamma, ['run', 'fails.ts'], { cwd: elsewhere }), { status: 1, stdout: '', stderr: /from afar/ })
  })

  await t.test('a node that goes down is known to all at once', async (t) => {
    const watcher = await lab.connect(gamma, {})
    const stop = new AbortController()
    const left = (async () => { for await (const { type, member } of watcher.watchMembers(stop.signal)) if (member.name === 'beta' && type !== 'updated') return type; return 'nothing' })()
    t.match(await lab.run(beta, ['down']), { status: 0, stdout: 'beta has left\n', stderr: '' })
    t.equal(await within('the news', 5_000, left), 'left', 'a clean leave, not a death')
    stop.abort()
    await lab.sees(alpha, 'beta', 'left')
    t.same(jsonOf(await ask('--json', 'pms.dmap(pm => pm.name)')), ['alpha', 'gamma'])
    t.match(await lab.run(beta, ['nodes']), { status: 3 })
    const again = await up(2, 'beta')
    t.equal(again.info.id, beta.info.id, 'the same directory is the same node, without a ticket')
    await lab.settled([alpha, again, gamma])
    t.same(jsonOf(await ask('--json', 'pms.dmap(pm => pm.name)')), ['alpha', 'beta', 'gamma'])
  })

  await t.test('the founder may go; others go on, and admit a fourth', async (t) => {
    await lab.down(alpha)
    await lab.sees(gamma, 'alpha', 'left')
    const delta = await up(4, 'delta', await lab.ticket(gamma))
    t.equal(delta.info.fabric, alpha.info.fabric)
    await until('delta knows all', async () => (await (await lab.connect(delta)).pms.dmap((pm) => pm.name)).join() === 'beta,delta,gamma')
    t.same(jsonOf(await ask('--json', 'pms.dmap(pm => pm.name)')), ['beta', 'delta', 'gamma'])
    t.equal(jsonOf(await lab.run(delta, ['--json', 'range(1e5).dmap(x => x + 1).dreduce((a, b) => a + b)'])), 5_000_050_000)
  })
})
