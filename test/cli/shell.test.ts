// Command lines of the shell against a fake fabric: results, exit statuses, --json, errors, interruption.

import t from 'tap'

import { systemClock } from '../../fabric/base.ts'
import { CodedError } from '../../fabric/base.ts'
import type { MembershipEvent } from '../../fabric/mod.ts'
import { fakeKali } from '../support/fake-datacenter.ts'
import { shellRun } from '../support/shell-run.ts'

t.test('a dead machine is named, not just left out', async (t) => {
  const ran = await shellRun(['pms.dmap(pm => pm.name)'], { fake: fakeKali({ dead: ['delta'] }) })
  t.equal(ran.stdout, 'alpha\nbeta\ngamma\n')
  t.match(ran.stderr, 'not asked, being dead: delta')
  t.equal(ran.status, 0)
  t.notMatch((await shellRun(['range(3)'], { fake: fakeKali({ dead: ['delta'] }) })).stderr, 'delta', 'data needs no machine')
})

t.test('one-liners of the issue', async (t) => {
  const cases: readonly [readonly string[], string][] = [
    [['pms.dmap(pm => pm.name)'], 'alpha\nbeta\ngamma\n'],
    [['--json', 'pms.dfilter(pm => pm.cpuRatio < 0.15).dmap(pm => pm.name)'], '["alpha","beta"]\n'],
    [['pms.dmap(pm => pm.name)', '--json'], '["alpha","beta","gamma"]\n'],
    [['const limit = 0.4; pms.dfilter(pm => pm.memoryFreeRatio < 1 - limit).dmap(pm => pm.name)'], 'alpha\nbeta\ngamma\n'],
    [["pms.dmap(pm => pm.exec('uname', ['-r'])).settled()"], 'element  node   status  result\n      0  alpha  value   uname -r\n      1  beta   value   uname -r\n      2  gamma  value   uname -r\n'],
    [['range(1e3).dmap(x => x * x).dreduce((a, b) => a + b)'], '332833500\n'],
    [['--json', 'range(3)'], '[0,1,2]\n'],
    [['const n: number = await Promise.resolve(20); n * 2 + 2'], '42\n'],
    [['{ a: 1, b: [2] }', '--json'], '{"a":1,"b":[2]}\n'],
    [['undefined'], ''], [['--json', 'undefined'], 'null\n'], [['--', '-1'], '-1\n'], [['true'], 'true\n'],
    [['for (const x of [1, 2]) x * 10'], '20\n'],
    [["require('node:path').basename('/a/b')"], 'b\n'],
    [['--merge', "pms.dmap(pm => pm.name === 'beta' ? 'y' : 'x')"], 'alpha,gamma (2): x\nbeta: y\n'],
  ]
  for (const [args, expected] of cases) {
    const { status, stdout, stderr } = await shellRun(args)
    t.equal(stdout, expected, args.join(' '))
    t.equal(status, 0, stderr)
    t.equal(stderr, '')
  }
})

t.test('assignments that failed are told under the result', async (t) => {
  const taken = new CodedError('that name is taken', { code: 'RMO_ERR_NAME_TAKEN' }), busy = new CodedError('it is busy', { code: 'RMO_ERR_BUSY' })
  const one = await shellRun(['6 * 7'], { fake: fakeKali({ unsettled: [taken] }) })
  t.same([one.status, one.stdout], [1, '42\n'])
  t.match(one.stderr, /^error: that name is taken \[RMO_ERR_NAME_TAKEN\]/)
  t.match((await shellRun(['6 * 7'], { fake: fakeKali({ unsettled: [taken, busy] }) })).stderr, /that name is taken[^]*it is busy/)
  const both = await shellRun(["throw new Error('own')"], { fake: fakeKali({ unsettled: [taken] }) })
  t.match(both.stderr, /that name is taken[^]*error: Error: own/)
  t.equal(both.status, 1)
})

t.test('the text may come from standard input', async (t) => {
  t.equal((await shellRun(['-'], { stdin: '1 +\n 1\n' })).stdout, '2\n')
  t.equal((await shellRun(['-'], { stdin: '  \n' })).status, 2)
})

t.test('errors of the text show where', async (t) => {
  const syntax = await shellRun(['const a = 1\n  foo bar'])
  t.equal(syntax.status, 1)
  t.match(syntax.stderr, /CLI_ERR_SYNTAX/)
  t.match(syntax.stderr, / {2}foo bar\n {6}\^/)
  t.match((await shellRun(['pms.dmap(pm =>'])).stderr, /CLI_ERR_SYNTAX/)
  t.match((await shellRun(['const q1 = 1; let q1 = 2'])).stderr, /q1[^]*\^/)
  const thrown = await shellRun(['const x: number = 1\n  x.y.z'])
  t.match(thrown.stderr, /error: TypeError: .*'z'.*\n {2}at kumoi:expression:2:7\n/)
  t.notMatch(thrown.stderr, /node:inspector/, 'no stack unless asked for')
  t.match((await shellRun(['--verbose', 'throw new Error("x", { cause: new Error("deep") })'])).stderr, /caused by Error: deep/)
  t.match((await shellRun(["throw 'text'"])).stderr, /Thrown: text/)
  t.match((await shellRun(["import fs from 'node:fs'; fs"])).stderr, /require\('\.\.\.'\)[^]*\^/)
  t.match((await shellRun(["await import('node:os')"])).stderr, /require\('\.\.\.'\)/)
})

t.test('a part fails: the rest is printed, then what failed, status 1', async (t) => {
  const text = "pms.dmap(pm => { if (pm.name === 'beta') throw new Error('out of paper'); return pm.name })"
  const { status, stdout, stderr } = await shellRun([text])
  t.equal(status, 1)
  t.equal(stdout, 'alpha\ngamma\n')
  t.match(stderr, /error: 1 of 3 elements failed[^]*node +element +why +error\nbeta +beta +error +out of paper/)
  const json = await shellRun(['--json', text])
  t.equal(json.status, 1)
  t.equal(json.stdout, '["alpha","gamma"]\n')
  t.match(JSON.parse(json.stderr), { code: 'FUNCTIONS_ERR_PARTIAL', failures: [{ status: 'error', nodeName: 'beta', error: { message: 'out of paper' } }] })
  t.equal((await shellRun([`${text}.settled()`])).status, 1, 'asked for outcomes, told by status too')
  t.equal((await shellRun(['--merge', text])).status, 1)
})

t.test('usage errors: status 2, one reason, a suggestion', async (t) => {
  const cases: readonly [readonly string[], RegExp][] = [
    [['nodse'], /did you mean `kumoi nodes`/], [['nodes', '--jsn'], /unknown option '--jsn'[^]*--json/], [['--jsn', '1'], /--jsn/],
    [['--timeout', 'x', '1'], /500ms, 2s/], [['1', '2'], /too many arguments/], [['run'], /missing required argument 'file'/],
    [['help', 'no'], /kumoi --help/], [['completion', 'tcsh'], /bash, zsh, fish/], [['help', 'nodse'], /did you mean "nodes"/], [['nodes', '--watch', '--json'], /do not go together/],
    [['ticket', '--lifetime', '5'], /number and a unit/], [['up', '--name', ''], /must not be empty/],
  ]
  for (const [args, reason] of cases) {
    const { status, stdout, stderr } = await shellRun(args)
    t.equal(status, 2, args.join(' '))
    t.equal(stdout, '')
    t.match(stderr, reason)
  }
  t.match(JSON.parse((await shellRun(['--json', 'nodse'])).stderr), { code: 'CLI_ERR_USAGE', message: /no command/, details: {} })
})

t.test('no node to talk to: status 3', async (t) => {
  const fake = fakeKali({ connectError: new CodedError('nothing listens', { code: 'FABRIC_ERR_X' }) })
  for (const args of [['nodes'], ['pms'], ['down'], ['ticket'], ['explain', 'x => x'], ['repl']]) {
    const { status, stderr } = await shellRun(args, { fake })
    t.equal(status, 3, args.join(' '))
    t.match(stderr, /No node answers in \/data \(nothing listens\)\. Start one with/)
  }
  const own = fakeKali({ connectError: new CodedError('No node here.', { code: 'FABRIC_ERR_NO_NODE' }) })
  t.match((await shellRun(['nodes'], { fake: own })).stderr, /^error: No node here\. \[FABRIC_ERR_NO_NODE\]\n/, "the fabric's own words when it has them")
  t.equal((await shellRun(['nodes'], { fake: fakeKali({ connectError: new TypeError('a fault') }) })).status, 1)
})

t.test('commands about nodes', async (t) => {
  const nodes = await shellRun(['nodes'])
  t.match(nodes.stdout, /^name +state +address +cpu +memory +version +since\nalpha +alive +10\.0\.0\.1:4000 +25% +6\.0 GiB \/ 8\.0 GiB +0\.1\.0 /)
  t.match(nodes.stdout, /gamma +dead +10\.0\.0\.3:4000 +- /)
  t.match(JSON.parse((await shellRun(['nodes', '--json'])).stdout), [{ name: 'alpha', cpuRatio: 0.25 }, {}, { state: 'dead' }])
  t.equal((await shellRun(['ticket'])).stdout, 'ticket-text\n')
  t.same((await shellRun(['ticket', '--lifetime', '10m'])).fake.calls, ['ticket 600000', 'close'])
  t.same(JSON.parse((await shellRun(['ticket', '--json'])).stdout), { ticket: 'ticket-text' })
  t.match(JSON.parse((await shellRun(['status', '--json'])).stdout), { name: 'alpha', pid: 4242 })
  t.match((await shellRun(['down'])).stdout, /alpha has left/)
  t.match((await shellRun(['explain', 'const limit = 1; (pm: { x: number }) => pm.x > limit'])).stdout, /captured +type +bytes\nlimit +number +9/)
  t.equal((await shellRun(['explain', '1'])).status, 1)
  t.equal((await shellRun(['--as', 'ci', '--data', '/elsewhere', 'info'])).fake.connects[0]?.as, 'ci')
})

t.test('nodes --watch prints again at each change', async (t) => {
  const event = { type: 'left', member: { name: 'beta' } } as unknown as MembershipEvent
  const { stdout, stderr } = await shellRun(['nodes', '--watch'], { fake: fakeKali({ events: [event, event] }) })
  t.equal(stdout.match(/^name +state/gm)?.length, 3)
  t.match(stderr, /beta left/)
})

t.test('up in the foreground, until interrupted', async (t) => {
  const { status, stdout, fake } = await shellRun(['up', '--name', 'alpha', '--json', '--join', '-'], {
    stdin: 'the-ticket\n', onInterrupt: (interrupt) => { onReady = () => interrupt.press() }, onWrite: () => onReady(),
  })
  t.match(fake.starts, [{ data: '/data', name: 'alpha', join: 'the-ticket' }])
  t.match(JSON.parse(stdout), { name: 'alpha', pid: 4242 })
  t.same(fake.calls, ['stop'])
  t.equal(status, 130)
})
let onReady = (): void => {}

t.test('an interruption cancels, closes, and ends with 130', async (t) => {
  const { status, stderr, fake } = await shellRun(['pms.dmap(() => { shellTestStarted(); return new Promise(() => {}) })'], {
    onInterrupt: (interrupt) => { Object.assign(globalThis, { shellTestStarted: () => interrupt.press() }) },
  })
  t.equal(status, 130)
  t.match(stderr, /interrupted/)
  t.same(fake.calls, ['close'])
})

t.test('--timeout bounds the whole command', async (t) => {
  // The timers of the bound are in the background: something must keep this process alive meanwhile.
  const alive = systemClock.after(60_000, () => {})
  const hung = await shellRun(['--timeout', '50ms', '--json', "pms.dmap(pm => pm.name === 'beta' ? new Promise(() => {}) : pm.name)"])
  t.equal(hung.status, 1)
  t.equal(hung.stdout, '["alpha","gamma"]\n', 'what came back until then is not lost')
  t.match(JSON.parse(hung.stderr), { code: 'CLI_ERR_TIMEOUT', details: { timeoutMs: 50 }, failures: [{ status: 'cancelled', nodeName: 'beta' }] })
  t.match((await shellRun(['--timeout', '50ms', 'while (true) {}'])).stderr, /CLI_ERR_TIMEOUT/, 'not even an endless loop')
  alive.cancel()
})

t.test('console lines of shipped functions go to stderr, named and neutralised', async (t) => {
  const { stdout, stderr } = await shellRun(['shellTestConsole(); 1'], {
    fake: (() => {
      const fake = fakeKali()
      return { ...fake, kali: { ...fake.kali, connect: async (options) => {
        Object.assign(globalThis, { shellTestConsole: () => options.onConsole?.({ nodeName: 'al\u001bpha', level: 'log', text: 'a\u001b[2J\nb' }) })
        return fake.kali.connect(options)
      } } }
    })(),
  })
  t.equal(stdout, '1\n')
  t.equal(stderr, 'al\\epha| a\\e[2J\nal\\epha| b\n')
})

t.test('on a terminal: colours, and nothing unsafe', async (t) => {
  const { stdout } = await shellRun(['nodes'], { terminal: true })
  t.match(stdout, /\u001b\[32malive/)
  t.notMatch((await shellRun(['--no-color', 'nodes'], { terminal: true })).stdout, /\u001b/)
  t.notMatch((await shellRun(['nodes'], { terminal: true, env: { NO_COLOR: '1' } })).stdout, /\u001b/)
  t.equal((await shellRun(["'a\\u001b[31mb'"], { terminal: true })).stdout, 'a\\e[31mb\n')
})
