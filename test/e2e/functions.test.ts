// Deployed functions as a user meets them: a file in an empty folder, the real shell, three real nodes with simulated VMs, and
// everything that issue 4 promises of them on a quiet day. Bad days: functions-chaos.test.ts.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { append, deploySource, fabricWithVms, freePort, logLine, writeSource } from '../support/deployed-lab.ts'
import { linesOf, openLab, until, within } from '../support/fabric-lab.ts'
import type { LabNode } from '../support/fabric-lab.ts'
import type { RunResult } from '../support/processes.ts'
import { HOT_MACHINES } from '../support/hot-machines.ts'

t.setTimeout(200_000)
const BOUND_MS = 30_000
const VMS = 3
const lab = await openLab(t)
const door = `http://127.0.0.1:${await freePort()}`
const [alpha, beta, gamma] = await fabricWithVms(lab, ['alpha', 'beta', 'gamma'], 'beta', VMS, { http: new URL(door).host }) as [LabNode, LabNode, LabNode]
const dc = await lab.connect(alpha)
const NAMES = ['alpha', 'beta', 'gamma']

const kumoi = (...args: string[]): Promise<RunResult> => lab.run(alpha, args)
/** One that must succeed; what it printed. */
async function done(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await kumoi(...args)
  if (status !== 0) throw new Error(`kumoi ${args.join(' ')}: ${status}: ${stderr}`)
  return stdout
}

const GREET = (greeting: string, more = ''): string => `import { defineFunction } from 'kumoi'
export default defineFunction({ name: 'greet', ${more}run: ({ call }, payload: { readonly name: string }) => '${greeting} ' + payload.name })
`

t.test('a file in an empty folder becomes a function that stays', async (t) => {
  const hot = await writeSource(lab, 'hot.ts', HOT_MACHINES)
  const first = await kumoi('deploy', hot)
  t.equal(first.status, 0, first.stderr)
  t.match(first.stdout, /^hot-machines [0-9a-f]{12} new\n/)
  t.match(first.stdout, /script +[\d.]+ (B|KiB) of hot\.ts\n/, 'its size')
  t.match(first.stdout, /runs +every 5s, one at a time in the whole fabric, on any\nrights +vm:read\n/, 'manifest and rights')
  t.match(first.stdout, /ready on +alpha, beta, gamma\n/)
  await writeSource(lab, 'hot.ts', HOT_MACHINES.replace("['vm:read']", "['vm:read', 'pm:read']").replace("'5s'", "'1s'"))
  const second = await done('deploy', hot)
  t.match(second, /^hot-machines [0-9a-f]{12} changed\n/)
  t.match(second, /to [0-9a-f]{12} +before +now\n/)
  t.match(second, /rights\S* +vm:read +vm:read, pm:read|rights\S* +\S+ +\S+/, 'the difference')
  t.match(await done('functions'), /hot-machines +[0-9a-f]{12} +active +every 1s +vm:read, pm:read/)
  const line = await within('a tick', BOUND_MS, logLine(dc, 'hot-machines', ({ fields }) => fields?.['hot'] !== undefined))
  t.equal(line.level, 'info')
})

t.test('a type error is refused with its line, and nothing is written', async (t) => {
  const file = await writeSource(lab, 'wrong.ts', HOT_MACHINES.replace('hot-machines', 'wrong').replace('vm.cpuRatio', 'vm.cpuRatoi'))
  const { status, stderr } = await kumoi('deploy', file)
  t.equal(status, 1)
  t.match(stderr, 'FUNCTIONS_ERR_BUNDLE_TYPES')
  t.match(stderr, /wrong\.ts:8:\d+/)
  await t.rejects(dc.functions.get('wrong'), { code: 'FUNCTIONS_ERR_FUNCTION_UNKNOWN' })
})

t.test('by name: the shell, a program, HTTP', async (t) => {
  await done('deploy', '--no-check', await writeSource(lab, 'greet.ts', GREET('hello')))
  t.match(await done('invoke', 'greet', '--payload', '{"name":"sky"}'), 'hello sky')
  t.equal(await dc.fn('greet')({ name: 'fog' }), 'hello fog')
  for (const node of [beta, gamma]) t.equal(await (await lab.connect(node)).fn('greet')({ name: node.name }), `hello ${node.name}`)
  t.match((await dc.functions.invokeAll('greet', { name: 'all' })).map(({ value }) => value), NAMES.map(() => 'hello all'))
  const token = (await readFile(join(alpha.data, 'http-token'), 'utf8')).trim()
  const post = (name: string, authorization: string | undefined): Promise<Response> => fetch(`${door}/functions/${name}`, {
    method: 'POST', body: '{"name":"web"}', headers: { 'content-type': 'application/json', ...(authorization === undefined ? {} : { authorization }) },
  })
  const answer = await post('greet', `Bearer ${token}`)
  t.same([answer.status, await answer.json()], [200, 'hello web'])
  t.equal((await post('greet', undefined)).status, 401)
  t.equal((await post('greet', `Bearer ${'A'.repeat(token.length)}`)).status, 401)
  t.equal((await post('nobody', `Bearer ${token}`)).status, 404)
  const metrics = await (await fetch(`${door}/metrics`, { headers: { authorization: `Bearer ${token}` } })).text()
  for (const node of NAMES) t.match(metrics, new RegExp(`node="${node}"`))
})

t.test('stats, and logs that are followed', async (t) => {
  const stats = await done('stats', 'greet')
  t.match(stats, /name +greet\ncalls +\d+, 0 failed\n/)
  t.match(stats, /p50 .*\np95 .*\ncold starts +\d+\ncpu /)
  for (const node of NAMES) t.match(stats, new RegExp(`${node} +\\d+ +0 `))
  let heard = false
  const followed = await within('a followed line', BOUND_MS, lab.run(beta, ['logs', 'hot-machines', '--follow', '--lines', '0'], {
    onText: (text, child) => {
      if (heard || !/info.*hot/.test(text)) return
      heard = true
      child.kill('SIGINT')
    },
  }))
  t.ok(heard, 'a line came')
  t.equal(followed.status, 130)
})

t.test('rollback, aliases, pause, resume, rm', async (t) => {
  const greet = (reference = 'greet'): Promise<unknown> => dc.fn(reference)({ name: 'x' })
  const { manifest: { version: old } } = await dc.functions.get('greet')
  await done('deploy', '--no-check', await writeSource(lab, 'greet.ts', GREET('bonjour')))
  t.equal(await greet(), 'bonjour x')
  t.match(await done('rollback', 'greet'), `greet runs ${old.slice(0, 12)} again`)
  t.equal(await greet(), 'hello x')
  await done('deploy', '--no-check', '--alias', 'canary', '--percent', '10', await writeSource(lab, 'greet.ts', GREET('ciao')))
  t.equal(await greet('greet@canary'), 'ciao x')
  t.equal(await greet(`greet@${old.slice(0, 12)}`), 'hello x')
  const { record } = await dc.functions.get('greet')
  const canary = record.aliases['canary']?.version ?? ''
  const said = await Promise.all(Array.from({ length: 200 }, () => greet()))
  const share = said.filter((text) => text === 'ciao x').length
  t.ok(share > 0 && share < 80, `${share} of 200 went to the canary`)
  t.equal(said.filter((text) => text === 'hello x').length, 200 - share)
  t.match(await done('alias', 'greet', `stable=${canary}`, `canary=${old}:10%`), new RegExp(`stable +${canary.slice(0, 12)}`))
  await done('alias', 'greet', 'canary=')
  t.equal(await greet(), 'ciao x')
  await done('pause', 'greet')
  for (const node of [alpha, gamma]) await until('all refuse', async () => (await lab.connect(node)).fn('greet')({ name: 'x' }).then(() => false, ({ code }: { code: string }) => code === 'FUNCTIONS_ERR_FUNCTION_PAUSED'))
  await done('resume', 'greet')
  t.equal(await greet(), 'ciao x')
  await done('rm', '--yes', 'greet')
  const gone = await kumoi('invoke', 'greet', '--payload', '{}')
  t.equal(gone.status, 1)
  t.match(gone.stderr, 'FUNCTIONS_ERR_FUNCTION_UNKNOWN')
})

t.test('a throw names the line of the TypeScript file, here and inside a nested dmap on another node', async (t) => {
  const file = await writeSource(lab, 'thrower.ts', `import { defineFunction } from 'kumoi'

interface Wish { readonly where: 'top' | 'nested' }

export default defineFunction({
  name: 'thrower',
  rights: ['pm:read'],
  async run({ pms }, { where }: Wish) {
    if (where === 'top') throw new RangeError('at the top')
    await pms.dmap((pm: { readonly name: string }) => {
      if (pm.name === 'gamma') throw new TypeError('far away')
    })
  },
})
`)
  await done('deploy', file)
  const top = await kumoi('invoke', 'thrower', '--payload', '{"where":"top"}')
  t.equal(top.status, 1)
  t.match(top.stderr, /at the top/)
  t.match(top.stderr, /thrower\.ts:9:\d+/)
  const nested = await dc.fn('thrower', { target: 'node:alpha' })({ where: 'nested' }).then(() => undefined, (error: Error) => error)
  t.match(nested?.message, /far away/)
  const line = await within('its line in the log', BOUND_MS, logLine(dc, 'thrower', ({ level, fields }) => level === 'error' && JSON.stringify(fields).includes('thrower.ts:11')))
  t.match(line.node, /alpha|gamma/)
  t.match((nested?.cause as Error | undefined)?.stack, /TypeError: far away\n +at .*thrower\.ts:11:\d+/)
  t.match((await kumoi('invoke', 'thrower', '--payload', '{"where":"nested"}')).stderr, /far away.*\n  thrown at thrower\.ts:11:\d+/)
})

t.test('emit, topics, state on every node, a secret', async (t) => {
  await deploySource(lab, dc, 'counter', `async run({ state, call }) { return [call.node, await state.update('n', (n) => (n ?? 0) + 1)] }`)
  for (const [at, node] of NAMES.entries()) t.same(await dc.fn('counter', { target: `node:${node}` })(), [node, at + 1])
  const counted = await Promise.all(Array.from({ length: 12 }, () => dc.fn('counter')()))
  t.same((counted as [string, number][]).map(([, n]) => n).sort((a, b) => a - b), Array.from({ length: 12 }, (_, i) => i + 4), 'no update is lost')

  const file = lab.dir('heard')
  await deploySource(lab, dc, 'listener', `trigger: { topic: 'news' }, rights: ['pm:read', 'pm:execute'], async run({ pms, call }, text) { ${append(file, `call.cause.type + ' ' + text`)} }`)
  await deploySource(lab, dc, 'speaker', `async run({ emit }, text) { await emit('news', text) }`)
  await dc.fn('speaker', { target: 'node:gamma' })('snow')
  await until('the listener heard', async () => (await linesOf(file)).length > 0, BOUND_MS)
  t.same(await linesOf(file), ['topic snow'])

  const VALUE = 'open-sesame-4711'
  const set = await lab.run(alpha, ['secret', 'set', 'door-key'], { input: VALUE })
  t.equal(set.status, 0, set.stderr)
  await deploySource(lab, dc, 'keeper', `secrets: ['door-key'], async run({ secrets, log }) { const key = await secrets.get('door-key'); log.info('the key is ' + key); return key.length }`)
  for (const node of NAMES) t.equal(await dc.fn('keeper', { target: `node:${node}` })(), VALUE.length)
  t.match((await logLine(dc, 'keeper', ({ text }) => text.startsWith('the key is'))).text, /^the key is (?!.*4711)/)
  t.notMatch(await done('logs', 'keeper'), VALUE)
  await deploySource(lab, dc, 'nosy', `async run({ secrets }) { return secrets.get('door-key') }`)
  await t.rejects(dc.fn('nosy')(), { code: 'FUNCTIONS_ERR_SECRET_UNKNOWN' })
})

t.test('every and cron', async (t) => {
  await deploySource(lab, dc, 'ticker', `trigger: [{ every: '250ms' }, { cron: '* * * * * *' }], async run({ state, call }) { await state.update(call.cause.type, (n) => (n ?? 0) + 1); return (await state.list()).map(({ key, value }) => [key, value]) }`)
  const counts = await until('both have fired twice', async () => {
    const found = Object.fromEntries(await dc.fn('ticker')() as [string, number][])
    return (found['every'] ?? 0) >= 2 && (found['cron'] ?? 0) >= 2 ? found : undefined
  }, BOUND_MS)
  t.ok(counts)
  await dc.functions.remove('ticker')
})

t.test('asynchronous calls: retried, dead, redriven; one effect a key', async (t) => {
  const file = lab.dir('attempts')
  const body = (fate: string): string => `rights: ['pm:read', 'pm:execute'], retry: { attempts: 3, backoff: '50ms' }, async run({ pms, call }, payload) { ${append(file, `payload + ' ' + call.attempt`)}; ${fate}; return payload }`
  await deploySource(lab, dc, 'mailer', body(`throw new Error('no post today')`))
  const { id } = JSON.parse(await done('--json', 'invoke', 'mailer', '--async', '--payload', '"a"')) as { id: string }
  const [dead] = await until('it is dead', async () => { const rows = await dc.functions.dead('mailer'); return rows.length > 0 ? rows : undefined }, BOUND_MS)
  t.match(dead, { id, state: 'dead', attempts: 3, payload: 'a', error: { message: /no post today/ } })
  t.same(await linesOf(file), ['a 1', 'a 2', 'a 3'])
  t.match(await done('dead', 'mailer'), id)
  await deploySource(lab, dc, 'mailer', body(''))
  t.match(await done('redrive', 'mailer'), '1 call of mailer waits again')
  await until('it was made', async () => (await linesOf(file)).length === 4, BOUND_MS)
  await until('nothing waits', async () => (await dc.functions.waiting('mailer')).length === 0 && (await dc.functions.dead('mailer')).length === 0, BOUND_MS)
  const keyed = { idempotencyKey: 'order-17' }
  t.same(await Promise.all([...Array.from({ length: 4 }, () => dc.functions.invoke('mailer', 'b', keyed)), (await lab.connect(gamma)).functions.invoke('mailer', 'b', keyed)]), ['b', 'b', 'b', 'b', 'b'])
  t.equal((await linesOf(file)).filter((line) => line.startsWith('b')).length, 1, 'one effect')
})
