// The commands that show and keep: logs, stats, metrics, secret.

import { test } from 'tap'
import { FUNCTIONS } from '../../functions/mod.ts'
import type { FunctionStats, LogLine, LogOptions, ObserveApi, SecretRow, SecretsApi } from '../../functions/mod.ts'
import type { DataCenter } from '../../kali/contract.ts'
import { fakeKali } from '../support/fake-datacenter.ts'
import type { Fake } from '../support/fake-datacenter.ts'
import { logLine } from '../support/observed-nodes.ts'
import { shellRun } from '../support/shell-run.ts'

type Told = LogLine & { readonly node: string }
interface Seen { logs: LogOptions[]; set: [string, string][]; removed: string[] }

function fabric(over: { readonly lines?: readonly Told[]; readonly stats?: readonly FunctionStats[]; readonly secrets?: readonly SecretRow[]; readonly stays?: true } = {}): { readonly fake: Fake; readonly seen: Seen } {
  const seen: Seen = { logs: [], set: [], removed: [] }
  const api: ObserveApi & { readonly secrets: SecretsApi; get(name: string): Promise<unknown> } = {
    get: async (name) => { if (name !== 'hot') throw FUNCTIONS.FUNCTION_UNKNOWN({ name, near: '' }); return {} },
    async *logs(options = {}) {
      seen.logs.push(options)
      yield* over.lines ?? []
      if (over.stays === true) await new Promise<void>((done) => options.signal?.addEventListener('abort', () => done(), { once: true }))
    },
    stats: async (name) => (over.stats ?? []).filter((row) => name === undefined || row.name === name),
    metrics: async () => 'kumoi_up{node="alpha"} 1\n',
    secrets: {
      set: async (name, value) => { seen.set.push([name, value]); return { name, updatedAtMs: 0, by: 'local:0', sealedTo: ['alpha'], usedBy: [] } },
      list: async () => over.secrets ?? [],
      remove: async (name) => { seen.removed.push(name) },
    },
  }
  const fake = fakeKali()
  const { connect } = fake.kali
  const kali = { ...fake.kali, connect: async (options: Parameters<typeof connect>[0]): Promise<DataCenter> => Object.assign(await connect(options), { functions: api as unknown as DataCenter['functions'] }) }
  return { fake: { ...fake, kali }, seen }
}
const line = (over: Partial<Told> = {}): Told => ({ ...logLine({ atMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678) }), node: 'alpha', ...over })

test('logs: for people, for programs', async (t) => {
  const lines = [line({ text: 'found', fields: { hot: 3 } }), line({ level: 'error', text: 'boom', fields: { code: 'X', stack: 'Error: boom\n    at run (hot.ts:3:9)' } }), line({ text: '\u001b]0;owned\u0007' })]
  const { fake, seen } = fabric({ lines })
  const people = await shellRun(['logs', 'hot', '--lines', '7', '--level', 'info', '--call', 'abc'], { fake })
  t.equal(people.status, 0)
  t.same(people.stdout.split('\n'), ['03:04:05.678 alpha info   found {"hot":3}', '03:04:05.678 alpha error  boom {"code":"X"}', '    at run (hot.ts:3:9)', '03:04:05.678 alpha info   \\e]0;owned\\x07', ''])
  t.match(seen.logs[0], { name: 'hot', lines: 7, level: 'info', callId: 'abc', follow: false })
  const programs = await shellRun(['--json', 'logs'], { fake })
  t.same(programs.stdout.trim().split('\n').map((text) => (JSON.parse(text) as Told).text), ['found', 'boom', '\u001b]0;owned\u0007'])
  t.match((await shellRun(['logs'], { fake })).stdout, 'info   hot found', 'with its name among others')
  t.equal((await shellRun(['logs', '--level', 'loud'], { fake })).status, 2)
  t.match(await shellRun(['logs', 'hot'], { fake: fabric().fake }), { status: 0, stdout: '', stderr: /No lines of hot/ })
  t.match(await shellRun(['logs', 'nosuch'], { fake: fabric().fake }), { status: 1, stdout: '', stderr: /there is no function nosuch/ })
  t.equal((await shellRun(['logs', 'nosuch'], { fake })).status, 0, 'lines outlive their function')
})

test('logs --follow stays until Ctrl-C', async (t) => {
  const { fake } = fabric({ lines: [line()], stays: true })
  const { status, stdout } = await shellRun(['logs', 'hot', '--follow'], { fake, onInterrupt: (interrupt) => setImmediate(() => setImmediate(() => interrupt.press())) })
  t.equal(status, 130)
  t.ok(stdout === '' || /hello/.test(stdout))
})

test('stats: all, one, none', async (t) => {
  const row: FunctionStats = { name: 'hot', calls: 100, errors: 2, p50Ms: 1.234, p95Ms: 25.6, coldStarts: 1, cpuMs: 12_345, running: 1, waiting: 0, versions: { ['a'.repeat(64)]: 100 }, nodes: [{ node: 'alpha', calls: 60, errors: 2, warm: true }, { node: 'beta', calls: 40, errors: 0, warm: false }], silent: ['gamma'] }
  const { fake } = fabric({ stats: [row, { ...row, name: 'idle', calls: 0, nodes: [] }] })
  const all = await shellRun(['stats'], { fake })
  t.match(all.stdout, /hot +100 +2 +1\.23 ms +26 ms +1 +12s +1 +alpha\* beta\n/)
  t.match(all.stdout, /idle +0 +2 +- +- /)
  t.match(all.stderr, /did not answer: gamma/)
  const one = await shellRun(['stats', 'hot'], { fake })
  t.match(one.stdout, /calls +100, 2 failed/)
  t.match(one.stdout, /versions +aaaaaaaaaaaa 100/)
  t.match(one.stdout, /beta +40 +0 +no/)
  t.match(JSON.parse((await shellRun(['--json', 'stats', 'hot'], { fake })).stdout), { name: 'hot', calls: 100 })
  t.match(await shellRun(['stats', 'hit'], { fake }), { status: 1, stderr: /no function "hit"/ })
  t.match(await shellRun(['stats'], { fake: fabric().fake }), { status: 0, stderr: /No functions are deployed/ })
  t.equal((await shellRun(['metrics'], { fake })).stdout, 'kumoi_up{node="alpha"} 1\n')
})

test('secrets come from standard input, never from the command line, and are never shown', async (t) => {
  const rows: SecretRow[] = [{ name: 'api-key', updatedAtMs: Date.now() - 60_000, by: 'local:0', sealedTo: ['alpha', 'beta'], usedBy: ['hot'] }]
  const { fake, seen } = fabric({ secrets: rows })
  const set = await shellRun(['secret', 'set', 'api-key'], { fake, stdin: 'correct horse\n' })
  t.equal(set.status, 0)
  t.same(seen.set, [['api-key', 'correct horse']], 'the line break is not part of it')
  t.notMatch(set.stdout + set.stderr, 'horse')
  t.match(await shellRun(['secret', 'set', 'api-key', 'correct horse'], { fake }), { status: 2 }, 'in argv everybody could read it')
  t.match(await shellRun(['secret', 'set', 'api-key'], { fake }), { status: 2, stderr: /empty/ })
  t.match((await shellRun(['secret', 'list'], { fake })).stdout, /api-key +1m +local:0 +alpha beta +hot/)
  t.match(await shellRun(['secret', 'rm', 'api-key'], { fake }), { status: 0, stdout: 'api-key removed\n', stderr: /still name it: hot/ })
  t.same(seen.removed, ['api-key'])
  t.match(await shellRun(['secret', 'rm', 'api-kay'], { fake }), { status: 1, stderr: /Did you mean api-key/ })
  t.match((await shellRun(['secret'], { fake })).stdout, /kumoi secret set/)
})
