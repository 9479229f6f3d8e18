// The packed tarball in an empty folder: JavaScript only, under node_modules, run by its own launcher.

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'

import { build, emit } from '../../cli/pack/build.ts'
import { runProgram } from '../support/processes.ts'
import { ROOT } from '../support/shell-run.ts'

t.test('what is emitted keeps lines and columns, and points at .js', async (t) => {
  const source = "import { a } from './a.ts'\nimport type { B } from '../b.ts'\nconst u: URL = new URL('./cell.ts', import.meta.url)\nconst m = await import('../kali/mod.ts')\nexport type * from './api.ts'\nconst other = 'file.ts'\n"
  const out = emit(source)
  t.match(out, "import { a } from './a.js'")
  t.match(out, "new URL('./cell.js', import.meta.url)")
  t.match(out, "import('../kali/mod.js')")
  t.match(out, "'file.ts'", 'a name that is no relative path is left alone')
  t.notMatch(out, /import type|export type/)
  t.same(out.split('\n').map((line) => line.length), source.split('\n').map((line) => line.length))
})

/** Packs `stage`, installs the tarball under node_modules of an empty folder, and uses it as a newcomer would. */
async function installAndUse(t: Test, stage: string): Promise<void> {
  // Not tap's own directory: a node that has just been told to go may still write its compile cache.
  const folder = mkdtempSync(join(tmpdir(), 'kumoi-pack-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }))
  execFileSync('npm', ['pack', '--offline', '--ignore-scripts', '--pack-destination', folder], { cwd: stage, stdio: 'ignore' })
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? ''
  const app = join(folder, 'app')
  const installed = join(app, 'node_modules/kumoi')
  mkdirSync(installed, { recursive: true })
  execFileSync('tar', ['-xzf', join(folder, tarball), '--strip-components=1', '-C', installed])
  for (const name of readdirSync(join(ROOT, 'node_modules'))) if (!name.startsWith('.')) symlinkSync(join(ROOT, 'node_modules', name), join(app, 'node_modules', name))

  const launcher = join(installed, 'cli/kumoi.js')
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { readonly version: string }
  const run = (...args: string[]) => runProgram(process.execPath, [launcher, ...args], { cwd: app, env: { KUMOI_DATA: join(folder, 'n'), XDG_CACHE_HOME: join(folder, 'cache') } })
  t.equal((await run('--version')).stdout, `${version}\n`)
  const help = await run('help', 'nodes')
  t.equal(help.status, 0, help.stderr)
  t.match(help.stdout, 'Usage: kumoi nodes')
  t.equal((await run('nodse')).status, 2)
  t.equal((await run('nodes')).status, 3)
  writeFileSync(join(app, 'report.ts'), "import { connect } from 'kumoi'\nconst dc = await connect()\nconst names: string[] = await dc.pms.dmap(pm => pm.name)\nconsole.log(...names, ...process.argv.slice(2))\n")
  const up = await run('up', '--name', 'packed', '--listen', '127.0.0.1', '--detach')
  t.equal(up.status, 0, up.stderr)
  try {
    t.equal((await run('pms.dmap(pm => pm.name)')).stdout, 'packed\n')
    const ran = await run('run', 'report.ts', '--since', 'yesterday')
    t.equal(ran.stdout, 'packed --since yesterday\n', ran.stderr)
  } finally {
    t.equal((await run('down')).status, 0)
  }
}

t.test('npm run pack: JavaScript, installed under node_modules, runs', async (t) => {
  const stage = mkdtempSync(join(tmpdir(), 'kumoi-stage-'))
  t.teardown(() => rmSync(stage, { recursive: true, force: true }))
  for (const file of ['package.json', 'LICENSE', 'README.md', 'cli/kumoi.js']) cpSync(join(ROOT, file), join(stage, file))
  t.ok(await build(ROOT, join(stage, 'dist')) > 50)
  t.same(readdirSync(join(stage, 'dist'), { recursive: true, encoding: 'utf8' }).filter((name) => /(?<!\.d)\.ts$/.test(name)), [])
  await installAndUse(t, stage)
})

t.test('plain npm pack: sources, installed under node_modules, runs', async (t) => {
  const stage = mkdtempSync(join(tmpdir(), 'kumoi-stage-'))
  t.teardown(() => rmSync(stage, { recursive: true, force: true }))
  for (const file of ['package.json', 'LICENSE', 'README.md', 'fabric', 'functions', 'rmo', 'kali', 'cli']) cpSync(join(ROOT, file), join(stage, file), { recursive: true })
  await installAndUse(t, stage)
})
