// The REPL over a plain stream: values, multi-line TypeScript, await, verbs, errors, cancelling.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'

import { kindsByPlural, relationOf, wordsOf } from '../../cli/render/references.ts'
import { COLLECTION_WORDS, complete } from '../../cli/repl-complete.ts'
import { runProgram } from '../support/processes.ts'
import { ROOT } from '../support/shell-run.ts'

const FAKE_SHELL = join(ROOT, 'test/support/fake-shell.ts')
const session = (input: string) => runProgram(process.execPath, [FAKE_SHELL, 'repl'], { input, env: { KUMOI_DATA: '/data' } })

t.test('lines are evaluated in order, across one another', async (t) => {
  const { stdout, stderr, status } = await session([
    'const limit: number = 0.15', 'pms.dfilter(pm => pm.cpuRatio < limit).dmap(pm => pm.name)', 'const later = await Promise.resolve(20)', 'later + 1',
    'const f = (x: number) => {', '  return x * 2', '}', 'f(later)', 'undefined', 'const limit = 3', 'limit',
  ].join('\n') + '\n')
  t.equal(stdout, 'alpha\nbeta\n21\n40\n3\n')
  t.equal(stderr, '')
  t.equal(status, 0)
})

t.test('an error does not end the session', async (t) => {
  const { stdout, stderr } = await session("nowhere.x\nfoo bar\npms.dmap(pm => { throw new Error('no ' + pm.name) })\n1 + 1\n")
  t.equal(stdout, '2\n')
  t.match(stderr, /ReferenceError: nowhere is not defined\n {2}at kumoi:repl:1:1[^]*CLI_ERR_SYNTAX[^]*3 of 3 elements failed[^]*no beta/)
})

t.test('verbs', async (t) => {
  const { stdout, stderr } = await session('.nodes\n.explain pm => pm.name\n.timeout 5s\n.timeout soon\n.help\n')
  t.match(stdout, /alpha +alive[^]*captured +type[^]*\.explain +What a function would carry[^]*\.timeout/)
  t.match(stderr, /"soon" is no time/)
})

t.test('Ctrl-C cancels the expression, not the session', async (t) => {
  const child = spawn(process.execPath, [FAKE_SHELL, 'repl'], { stdio: ['pipe', 'pipe', 'pipe'] })
  let out = '', err = ''
  const heard = (stream: NodeJS.ReadableStream, word: string, append: (text: string) => string) => new Promise<void>((resolve) => {
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => { if (append(text).includes(word)) resolve() })
  })
  const started = heard(child.stdout, 'started', (text) => (out += text))
  const interrupted = heard(child.stderr, 'interrupted', (text) => (err += text))
  child.stdin.write("require('fs').writeSync(1, 'started\\n'); pms.dmap(() => new Promise(() => {}))\n")
  await started
  child.kill('SIGINT')
  await interrupted
  child.stdin.end('6 * 7\n')
  const [status] = await new Promise<[number | null]>((resolve) => { child.on('close', (code) => resolve([code])) })
  t.match(out, /started\n42\n/)
  t.equal(status, 0)
})

t.test('completion', async (t) => {
  const evaluator = { names: async () => ['pms', 'limit'], properties: async (of: string) => of === 'Math' ? ['max', 'min'] : [], collections: kindsByPlural, words: wordsOf, relation: relationOf, kindOf: async (name: string) => name === 'vm' ? 'VM' : undefined, functions: async () => ['hot-machines', 'notify'] }
  const words = async (line: string) => (await complete(line, evaluator))[0]
  t.same(await words('pms.dm'), ['pms.dmap', 'pms.dmax', 'pms.dmin'])
  t.same(await words('pms.dmap(pm => pm.cpu'), ['pm.cpuRatio'])
  t.same(await words('pms.dmap((pm, i) => pm.na'), ['pm.name'])
  t.same(await words('pms.at(0).ex'), ['pms.at(0).exec'])
  t.same(await words('pms.dfilter(pm => pm.cpuRatio > 1).set').then((w) => w.map((x) => x.split('.').at(-1))), ['settled'])
  t.same(await words('vm.migr'), ['vm.migrate'], 'a variable that holds a reference')
  t.same(await words('vm.cons'), ['vm.console'])
  t.same(await words('vm.pm.vmm.createV'), ['vm.pm.vmm.createVM'])
  t.same(await words('pms.at(0).vmm.vms.at(1).susp'), ['pms.at(0).vmm.vms.at(1).suspend'])
  t.same(await words('pms.dmap(pm => pm.vmm.createN'), ['pm.vmm.createNetwork'])
  t.same(await words('pms.dmap(pm => pm.vms.filt'), ['pm.vms.filter'])
  t.same(await words('pms.dflatMap(pm => pm.vms.filter(vm => vm.upt'), ['vm.uptimeSeconds'])
  t.same(await words('dc.vms.dfilter(vm => vm.mem'), ['vm.memoryMiB', 'vm.memoryUsedMiB'])
  t.same(await words('vm.memoryMiB.to'), [])
  t.same(await words('dc.tic'), ['dc.ticket'])
  t.same(await words('Math.ma'), ['Math.max'])
  t.same(await words('lim'), ['limit'])
  t.same(await words("fn('hot-"), ['hot-machines'], 'deployed functions by name')
  t.same(await words('await functions.invoke("'), ['hot-machines', 'notify'])
  t.same(await words(''), [])
  t.ok(COLLECTION_WORDS.includes('dgroupBy'))
})
