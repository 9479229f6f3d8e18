// The packed tarball in an empty folder: JavaScript only, under node_modules, run by its own launcher.

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

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

t.test('npm pack, unpacked under node_modules, runs', async (t) => {
  const folder = t.testdir()
  const stage = join(folder, 'stage')
  for (const file of ['package.json', 'LICENSE', 'README.md', 'cli/kumoi.js']) if (existsSync(join(ROOT, file))) cpSync(join(ROOT, file), join(stage, file))
  t.ok(await build(ROOT, join(stage, 'dist')) > 50)
  execFileSync('npm', ['pack', '--offline', '--ignore-scripts', '--pack-destination', folder], { cwd: stage, stdio: 'ignore' })
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? ''
  const app = join(folder, 'app')
  const installed = join(app, 'node_modules/kumoi')
  mkdirSync(installed, { recursive: true })
  execFileSync('tar', ['-xzf', join(folder, tarball), '--strip-components=1', '-C', installed])
  for (const name of readdirSync(join(ROOT, 'node_modules'))) if (!name.startsWith('.')) symlinkSync(join(ROOT, 'node_modules', name), join(app, 'node_modules', name))
  t.same(readdirSync(join(installed, 'dist'), { recursive: true, encoding: 'utf8' }).filter((name) => /(?<!\.d)\.ts$/.test(name)), [])

  const launcher = join(installed, 'cli/kumoi.js')
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { readonly version: string }
  const run = (...args: string[]) => runProgram(process.execPath, [launcher, ...args], { cwd: app, env: { KUMOI_DATA: join(folder, 'data'), XDG_CACHE_HOME: join(folder, 'cache') } })
  t.equal((await run('--version')).stdout, `${version}\n`)
  const help = await run('help', 'nodes')
  t.equal(help.status, 0, help.stderr)
  t.match(help.stdout, 'Usage: kumoi nodes')
  t.equal((await run('nodse')).status, 2)
  writeFileSync(join(app, 'report.ts'), "import { connect } from 'kumoi'\nconst kind: string = typeof connect\nconsole.log(kind, ...process.argv.slice(2))\n")
  const ran = await run('run', 'report.ts', '--since', 'yesterday')
  t.equal(ran.stdout, 'function --since yesterday\n', ran.stderr)
  // Nobody is there, so the whole of kali has been loaded in vain: as JavaScript.
  const alone = await run('nodes')
  t.equal(alone.status, 3, alone.stderr)
})
