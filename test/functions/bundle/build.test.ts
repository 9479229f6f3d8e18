// buildBundle: one script, the same everywhere; what cannot run in a sandbox is refused with the way by which it came in.

import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { buildBundle } from '../../../functions/bundle/build.ts'
import { buildFiles, functionFile, packageRoot, textOf, writeProject, type BuildSettings, type Files } from '../../support/bundles.ts'
import { HOT_MACHINES } from '../../support/hot-machines.ts'
import { sha256 } from '../../support/sandbox.ts'

const HOT = `// hot.ts\n${HOT_MACHINES}`

async function refusal(files: Files, settings: BuildSettings = {}): Promise<{ readonly code: string; readonly message: string }> {
  try {
    await buildFiles(files, settings)
  } catch (error) {
    return error as { code: string; message: string }
  }
  throw new Error('it was built')
}

t.test('the function of the issue, word for word', async (t) => {
  const built = await buildFiles({ 'hot.ts': HOT }, { types: 'check' })
  t.same(built.warnings, [])
  t.same(built.files, ['hot.ts'])
  t.same(built.packages, [])
  t.equal(textOf(built.script), `(environment, runtime) => runtime.bundle(environment, ($kumoi) => {"use strict";
// kumoi
var { defineFunction, range, from, load } = $kumoi;

// hot.ts
var hot_default = defineFunction({
  name: "hot-machines",
  trigger: { every: "5s" },
  // or cron, an RMO event, a topic, HTTP, or only by call
  rights: ["vm:read"],
  singleton: true,
  // at most one runs at a time in the whole fabric
  async run({ pms, log, state, emit }) {
    const hot = await pms.dmap($kumoi.ship(0, (pm) => pm.vms.filter((vm) => vm.cpuRatio > 0.9), () => ({}))).flat();
    if (hot.length) emit("hot", hot.map((vm) => vm.name));
    log.info({ hot: hot.length });
  }
});

return { sites: [
[0, ($c) => { return () => ((pm) => pm.vms.filter((vm) => vm.cpuRatio > 0.9)) }],], definition: hot_default } })`)
})

const PACKAGES: Files = {
  'node_modules/leftish/package.json': '{ "name": "leftish", "version": "1.2.3", "main": "index.js" }',
  'node_modules/leftish/index.js': 'const pad = require("./pad")\nmodule.exports = (text) => pad(text)\n',
  'node_modules/leftish/pad.js': 'module.exports = (text) => " " + text\n',
  'node_modules/@scope/tool/package.json': '{ "name": "@scope/tool", "version": "0.1.0", "type": "module", "exports": "./main.js" }',
  'node_modules/@scope/tool/main.js': 'import { readFile } from "node:fs/promises"\nexport const unused = () => readFile("x")\nexport const used = (x) => x + 1\n',
}
const USER: Files = {
  'app/hot.ts': functionFile('({ pms }: any) => pms.dmap((x: any) => leftish(used(x)) + shared)', 'import leftish from \'leftish\'\nimport { used } from \'@scope/tool\'\nimport { shared } from \'../shared/values.ts\'\nimport type { Nothing } from \'./types.ts\'\nimport data from \'./data.json\''),
  'shared/values.ts': 'export const shared: string = "s"\n', 'app/types.ts': 'export type Nothing = never\n', 'app/data.json': '{ "a": 1 }',
}

t.test('the same sources give the same bytes from any directory', async (t) => {
  const settings = { entry: 'app/hot.ts' }
  const first = await buildFiles({ ...USER, ...PACKAGES }, settings)
  const deeper = await buildFiles({ ...USER, ...PACKAGES }, { ...settings, within: 'some/other place/deep' })
  const nearer = await buildFiles({ ...USER, ...Object.fromEntries(Object.entries(PACKAGES).map(([path, text]) => [`app/${path}`, text])) }, settings)
  const withSettings = await buildFiles({ ...USER, ...PACKAGES, 'tsconfig.json': '{ "compilerOptions": { "target": "es5", "useDefineForClassFields": false, "verbatimModuleSyntax": true } }' }, settings)
  for (const other of [deeper, nearer, withSettings]) {
    t.equal(sha256(other.script), sha256(first.script))
    t.equal(sha256(other.sourceMap), sha256(first.sourceMap))
    t.same(other.packages, first.packages)
  }
  t.same(first.packages, [{ name: '@scope/tool', version: '0.1.0' }, { name: 'leftish', version: '1.2.3' }])
  t.same(first.files, ['../shared/values.ts', 'hot.ts'])
  t.notMatch(textOf(first.script) + textOf(first.sourceMap), packageRoot)
  t.notMatch(textOf(first.script) + textOf(first.sourceMap), /kumoi-bundle-test|\.\.\/node_modules/)
  t.notMatch(textOf(first.script), /readFile/, 'what only an unused part imports is not there')
})

t.test('a package that is a link into a store elsewhere', async (t) => {
  const project = writeProject({ 'hot.ts': functionFile('() => leftish("x")', 'import leftish from \'leftish\'') })
  t.teardown(project.remove)
  for (const [path, text] of Object.entries(PACKAGES)) {
    if (!path.includes('leftish')) continue
    const at = join(project.directory, 'node_modules/.store/leftish@1.2.3', path)
    mkdirSync(join(at, '..'), { recursive: true })
    writeFileSync(at, text)
  }
  symlinkSync('.store/leftish@1.2.3/node_modules/leftish', join(project.directory, 'node_modules/leftish'))
  const linked = await buildBundle({ file: join(project.directory, 'hot.ts'), types: 'skip', packageRoot })
  const plain = await buildFiles({ 'hot.ts': functionFile('() => leftish("x")', 'import leftish from \'leftish\''), ...PACKAGES })
  t.equal(sha256(linked.script), sha256(plain.script))
  t.same(linked.packages, [{ name: 'leftish', version: '1.2.3' }])
})

t.test('Kumoi elsewhere gives the same bytes too', async (t) => {
  const elsewhere = writeProject({})
  t.teardown(elsewhere.remove)
  for (const path of ['rmo/devices.ts', 'rmo/settings.ts', 'kali/placement/user-scheduler.ts']) cpSync(join(packageRoot, path), join(elsewhere.directory, path), { recursive: true })
  const file: Files = { 'hot.ts': functionFile('() => [Bridge("br0"), mac(7), byRank]', 'import { Bridge, byRank, mac } from \'kumoi\'') }
  const project = writeProject(file)
  t.teardown(project.remove)
  const there = await buildBundle({ file: join(project.directory, 'hot.ts'), types: 'skip', packageRoot: elsewhere.directory })
  const here = await buildFiles(file)
  t.equal(sha256(there.script), sha256(here.script))
  t.match(textOf(here.script), /function Bridge/)
  t.notMatch(textOf(here.script), /FileDiskAuto|defineScheduler|availableFor/, 'only what is used')
  t.same(here.files, ['hot.ts'])
})

t.test('refused, with the place', async (t) => {
  t.match(await refusal({ 'a.ts': functionFile('() => 1').replace('export default', 'export const x =') }), { code: 'FUNCTIONS_ERR_BUNDLE_FAILED', message: /no default export; write `export default defineFunction/ })
  t.match(await refusal({ 'a.ts': 'const x = ;\n' }), { message: /a\.ts:1:11: Unexpected ";"\n {4}const x = ;\n {14}\^/ })
  t.match(await refusal({ 'a.ts': 'import { x } from "./gone.ts"\nexport default x\n' }), { message: /a\.ts:1:19: Could not resolve/ })
  t.match(await refusal({ 'a.ts': 'import { connect } from "kumoi"\nexport default connect\n' }), { message: /a\.ts:1:10: kumoi has no connect for deployed functions; it has .*defineFunction/ })
  t.match(await refusal({ 'a.ts': functionFile('() => 1', 'await Promise.resolve()') }), { message: /a\.ts:2:1: Top-level await/ })
  t.match(await refusal({ 'a.ts': functionFile('() => import.meta.url') }), { message: /a\.ts:3:.*import\.meta/ })
  t.match(await refusal({ 'a.ts': 'export default 1' }, { entry: 'b.ts' }), { message: /b\.ts cannot be bundled: there is no such file/ })
  t.match(await refusal({ 'folder/a.ts': 'export default 1' }, { entry: 'folder' }), { message: /folder cannot be bundled: it is no file/ })
  t.match(await refusal({ 'a.ts': "import x from 'left-pad'\nexport default x" }), { message: /Could not resolve "left-pad"; is it installed beside the file \(npm install left-pad\)\?/ })
  t.match(await refusal({ 'a.ts': functionFile('() => native', 'import native from "./x.node"'), 'x.node': '\u0000' }), { message: /native module cannot run in a sandbox/ })
})

t.test('modules of Node are refused with the way to them', async (t) => {
  const chain: Files = {
    'hot.ts': functionFile('() => look()', 'import { look } from \'./lib/look.ts\''), 'lib/look.ts': 'import leftish from \'reader\'\nexport const look = () => leftish()\n',
    'node_modules/reader/package.json': '{ "name": "reader", "version": "1.0.0" }', 'node_modules/reader/index.js': 'const fs = require("fs")\nmodule.exports = () => fs.readFileSync("x")\n',
  }
  t.match(await refusal(chain), { code: 'FUNCTIONS_ERR_BUNDLE_FAILED', message: /hot\.ts imports lib\/look\.ts imports node_modules\/reader\/index\.js imports fs, a module of Node/ })
  t.match(await refusal({ 'hot.ts': functionFile('() => readFileSync("x")', 'import { readFileSync } from \'node:fs\'') }), { message: /hot\.ts imports node:fs, a module of Node/ })
  const events: Files = { 'hot.ts': functionFile('() => new EventEmitter()', 'import { EventEmitter } from \'events\''), 'node_modules/events/package.json': '{ "name": "events", "version": "3.0.0" }', 'node_modules/events/index.js': 'exports.EventEmitter = class {}\n' }
  t.same((await buildFiles(events)).packages, [{ name: 'events', version: '3.0.0' }], 'a package of the same name is a package')
})

t.test('too large: the biggest files are named', async (t) => {
  const error = await refusal({ 'hot.ts': functionFile('() => big', 'import { big } from \'./big.ts\''), 'big.ts': `export const big = ${JSON.stringify('x'.repeat(4 * 1024 * 1024))}\n` })
  t.match(error, { code: 'FUNCTIONS_ERR_BUNDLE_TOO_LARGE', message: /biggest: big\.ts \(\d+ bytes\), hot\.ts/ })
})

t.test('names that a sandbox lacks are warned of, those in packages are not', async (t) => {
  const { warnings } = await buildFiles({
    'hot.ts': functionFile('async () => {\n  const it = typeof Buffer\n  return [it, fetch("x"), process.env, structuredClone(1), lib]\n}', 'import lib from \'leftish\''),
    'node_modules/leftish/package.json': '{ "name": "leftish", "version": "1.2.3" }', 'node_modules/leftish/index.js': 'module.exports = () => process.nextTick\n',
  })
  t.same(warnings, ['hot.ts:5:15: fetch is not there in a sandbox', 'hot.ts:5:27: process is not there in a sandbox'])
})

t.test('several at once', async (t) => {
  const all = await Promise.all([1, 2, 3].map((n) => buildFiles({ 'hot.ts': functionFile(`() => ${n}`) })))
  t.equal(new Set(all.map(({ script }) => sha256(script))).size, 3)
})
