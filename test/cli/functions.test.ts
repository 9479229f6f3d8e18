// deploy, functions, rollback, alias, pause, resume, rm: the real shell over real catalogs, with files that are really checked,
// bundled, and asked in the sandbox what they are.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { confirm } from '../../cli/confirm.ts'
import type { Shell } from '../../cli/session.ts'
import type { DataCenter } from '../../kali/mod.ts'
import { cronProblem, createSandbox, describeBundle, manifestOf } from '../../functions/mod.ts'
import type { FunctionsApi } from '../../functions/mod.ts'
import { openCatalogFabric } from '../support/catalog-fabric.ts'
import { fakeKali } from '../support/fake-datacenter.ts'
import { shellRun } from '../support/shell-run.ts'
import type { ShellRun, ShellRunOptions } from '../support/shell-run.ts'

t.setTimeout(60_000)
const directory = await mkdtemp(join(tmpdir(), 'kumoi-cli-functions-'))
const sandbox = await createSandbox({ cacheDirectory: join(directory, 'cache'), shapes: [], packageDirectories: [directory] })
t.teardown(async () => {
  await sandbox.close()
  await rm(directory, { recursive: true, force: true })
})
const { node } = await openCatalogFabric(t, 3, {
  describe: async ({ script, version, sourceMap, packages, files }, { principal, signal }) =>
    manifestOf(await describeBundle(sandbox, script, principal, signal), { version, bytes: script.length, sourceMap, packages, files }, { cron: cronProblem }),
})

const run = (args: readonly string[], options: ShellRunOptions = {}): Promise<ShellRun> => {
  const fake = fakeKali({ names: ['n0', 'n1', 'n2'] })
  const connect = fake.kali.connect
  return shellRun(args, { ...options, fake: { ...fake, kali: { ...fake.kali, connect: async (wish) => Object.assign(await connect(wish), { functions: node(0).client as FunctionsApi }) as DataCenter } } })
}
const file = join(directory, 'hot.ts')
const source = (rights: string, threshold: number): string => `
import { defineFunction } from 'kumoi'
export default defineFunction({
  name: 'hot-machines',
  description: 'Tells of hot machines',
  trigger: { every: '5s' },
  rights: [${rights}],
  singleton: true,
  run({ log }) { log.info({ threshold: ${threshold} }) },
})
`

t.test('nothing yet', async (t) => {
  const { status, stdout, stderr } = await run(['functions'])
  t.same([status, stdout], [0, ''])
  t.match(stderr, 'No functions. Deploy one')
})

t.test('deploy shows what it is, then what changed', async (t) => {
  await writeFile(file, source("'vm:read'", 0.9))
  const dry = await run(['deploy', file, '--no-check', '--dry-run'])
  t.equal(dry.status, 0, dry.stderr)
  t.match(dry.stdout, /^hot-machines [0-9a-f]{12} would be new\n/)
  const first = await run(['deploy', file])
  t.equal(first.status, 0, first.stderr)
  t.match(first.stdout, /^hot-machines [0-9a-f]{12} new\nabout +Tells of hot machines\nscript +[\d.]+ (B|KiB) of hot\.ts\n/)
  t.match(first.stdout, /runs +every 5s, one at a time in the whole fabric, on any\nrights +vm:read\n/)
  t.match(first.stdout, /copies on +n0, n1, n2\nready on +n0, n1, n2\n$/)
  t.match((await run(['deploy', file, '--no-check'])).stdout, /is deployed already/)
  await writeFile(file, source("'vm:read', 'vm:operate'", 0.8))
  const second = await run(['deploy', file, '--no-check'])
  t.match(second.stdout, / changed\n/)
  t.match(second.stdout, /to [0-9a-f]{12} +before +now\n.*rights +vm:read +vm:read, vm:operate/s)
  await writeFile(file, source("'vm:read', 'vm:operate'", 0.7))
  t.match((await run(['deploy', file, '--no-check', '--alias', 'canary', '--percent', '10'])).stdout, /hot-machines@canary [0-9a-f]{12} changed\n.*only the code differs/s)
})

t.test('mistakes in the file or the line', async (t) => {
  const bad = join(directory, 'bad.ts')
  await writeFile(bad, source("'vm:read'", 0.9).replace('log.info', 'log.inform'))
  const checked = await run(['deploy', bad])
  t.equal(checked.status, 1)
  t.match(checked.stderr, /BUNDLE_TYPES/)
  t.match((await run(['deploy', bad, file, '--no-check'])).stdout, /hot-machines .*\n(.*\n)*hot-machines /)
  t.match((await run(['deploy', join(directory, 'none.ts')])).stderr, /BUNDLE_FAILED/)
  await writeFile(bad, 'export default 1')
  t.match((await run(['deploy', bad, '--no-check'])).stderr, /DEFINITION_INVALID|BUNDLE_FAILED/)
  t.match((await run(['deploy', bad, file, '--no-check'])).stderr, /warning: .*bad\.ts was not deployed:\nerror: function \(no name\): the default export must be/, 'of several files it is said which')
  await writeFile(bad, `import { defineFunction } from 'kumoi'\nif (defineFunction) throw new Error('at once')\nexport default 1\n`)
  t.match((await run(['deploy', bad, '--no-check'])).stderr, /the file threw while it was loaded: at once .*\n +at bad\.ts:2:27\n/)
  t.equal((await run(['deploy', file, '--percent', '10'])).status, 2)
  t.equal((await run(['alias', 'hot-machines', 'nonsense'])).status, 2)
})

t.test('look, move, go back', async (t) => {
  const { stdout } = await run(['functions'])
  t.match(stdout, /^name +version +state +trigger +rights +aliases +holder +changed\nhot-machines +[0-9a-f]{12} +active +every 5s +vm:read/)
  t.match((await run(['functions.list()'])).stdout, /^name +version +state.*\nhot-machines +[0-9a-f]{12} +active/, 'an expression that answers functions is shown the same way')
  const { stdout: one } = await run(['functions', 'hot-machines'])
  t.match(one, /^function +hot-machines\n/)
  t.match(one, /rollback goes here/)
  const row = JSON.parse((await run(['--json', 'functions', 'hot-machines'])).stdout) as { record: { aliases: Record<string, { version: string }>; history: string[] } }
  const back = row.record.history[0]?.slice(0, 12) ?? ''
  t.equal((await run(['rollback', 'hot-machines'])).stdout, `hot-machines runs ${back} again\n`)
  const canary = row.record.aliases['canary']?.version.slice(0, 12) ?? ''
  t.match((await run(['alias', 'hot-machines', 'stable=canary', 'canary='])).stdout, new RegExp(`^stable +${canary}\n$`))
  t.match((await run(['functions', 'hot-machine'])).stderr, 'did you mean hot-machines')
  t.equal((await run(['pause', 'hot-machines'])).stdout, 'hot-machines paused\n')
  t.match((await run(['functions'])).stdout, / paused /)
  const two = await run(['resume', 'hot-machines', 'none'])
  t.same([two.status, two.stdout], [1, 'hot-machines resumed\n'])
  t.match(two.stderr, 'there is no function none')
})

t.test('rm asks nobody but people', async (t) => {
  for (const [answer, wanted] of [['y\n', true], ['Yes\n', true], ['\n', false], ['n\n', false], ['', false]] as const) {
    const stdin = Object.assign(new PassThrough(), { isTTY: true })
    let asked = ''
    const shell = { world: { stdin, stderr: { write: (text: string) => { asked += text } } }, interrupt: { race: <T>(work: Promise<T>) => work } } as unknown as Shell
    stdin.end(answer)
    t.equal(await confirm(shell, 'Remove hot-machines?'), wanted, JSON.stringify(answer))
    t.equal(asked, 'Remove hot-machines? [y/N] ')
  }
  t.equal((await run(['rm', '--yes', 'hot-machines'])).stdout, 'hot-machines removed\n')
  t.equal((await run(['rm', 'hot-machines'])).status, 1)
})
