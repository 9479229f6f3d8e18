// What must be refused, bounded or survived: faulty input, huge values, names and directories twice,
// clocks, disks, tickets, and strangers who talk nonsense or nothing. Two real nodes on loopback.

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect as dial } from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { isRunning, openLab, processes, until, within } from '../support/fabric-lab.ts'
import type { LabNode } from '../support/fabric-lab.ts'

t.setTimeout(150_000)
const lab = await openLab(t)
const [alpha, beta] = await lab.fabric(['alpha', 'beta']) as [LabNode, LabNode]
const dc = await lab.connect(alpha)
const BOUND_MS = 15_000

interface Failed extends Error { readonly code?: string; readonly details?: Readonly<Record<string, unknown>> }
const failureOf = async (work: PromiseLike<unknown>): Promise<Failed> => {
  try { await work } catch (error) { return error as Failed }
  throw new Error('it did not fail')
}
const answers = async (node = alpha): Promise<string> => (await (await lab.connect(node)).pms.dmap((pm) => pm.name, { timeoutMs: 10_000 })).join()

const refusedUp = (args: readonly string[], data: string): Promise<{ readonly status: number | null; readonly stderr: string }> => lab.refused(data, ...args)

t.test('an input that throws in the middle ends the map, with the index', async (t) => {
  function* sync(): Generator<number> { for (let i = 0; ; i++) { if (i === 137) throw new RangeError('no more'); yield i } }
  async function* async(): AsyncGenerator<number> { for (let i = 0; ; i++) { if (i === 137) throw new RangeError('no more'); yield i } }
  for (const [name, make] of [['sync', sync], ['async', async]] as const) {
    for (const [verb, work] of [['await', () => dc.from(make()).dmap((x) => x)], ['settled', () => dc.from(make()).dmap((x) => x).settled()], ['dreduce', () => dc.from(make()).dreduce((a, b) => a + b)]] as const) {
      const failure = await within(name, BOUND_MS, failureOf(work()))
      t.match(failure, { code: 'FUNCTIONS_ERR_INPUT_FAILED', details: { index: 137 }, cause: { name: 'RangeError', message: 'no more' } }, `${name}, ${verb}`)
    }
  }
  const seen: number[] = []
  const failure = await failureOf((async () => { for await (const x of dc.from(sync()).dmap((x) => x)) seen.push(x) })())
  t.equal(failure.code, 'FUNCTIONS_ERR_INPUT_FAILED')
  t.same(seen, Array.from({ length: seen.length }, (_, i) => i), 'what came before came in order')
  t.match(await failureOf(dc.from([1, Symbol('x')]).dmap((x) => x)), { code: /FUNCTIONS_ERR/ })
  t.equal(await answers(), 'alpha,beta')
})

t.test('a result of a gigabyte fails alone; the node lives', async (t) => {
  const bodies: Readonly<Record<string, () => unknown>> = {
    'one string': () => 'x'.repeat(2 ** 29 - 100) + 'y'.repeat(2 ** 29),
    'bytes': () => new Uint8Array(2 ** 30).fill(1),
    'an array': () => Array.from({ length: 2 ** 27 }, (_, i) => i),
    'forty million characters': () => 'x'.repeat(40_000_000),
  }
  for (const [name, body] of Object.entries(bodies)) {
    const outcomes = await within(name, BOUND_MS, dc.pms.dmap(body, { timeoutMs: 10_000 }).settled())
    t.equal(outcomes.length, 2)
    t.ok(outcomes.every((o) => o.status === 'error' || o.status === 'out-of-memory' || o.status === 'crash'), `${name}: ${outcomes.map((o) => (o.status === 'value' ? 'value' : `${o.status} ${o.error.code}`)).join()}`)
  }
  t.equal((await dc.node()).pid, alpha.pid)
  t.equal(await answers(), 'alpha,beta')
})

t.test('a captured value of 100 MB is refused before anything is sent', async (t) => {
  const big = 'x'.repeat(100_000_000)
  const table = { rows: [big] }
  const failure = await failureOf((async () => dc.pms.dmap(() => table.rows.length))())
  t.match(failure, { code: 'FUNCTIONS_ERR_CAPTURE_TOO_LARGE', message: /table/ })
  t.ok(Number(failure.details?.['bytes']) >= 16 * 2 ** 20)
  const { status, stdout, stderr } = await lab.run(alpha, ["const big = 'x'.repeat(1e8); pms.dmap(() => big.length)"])
  t.same([status, stdout], [1, ''])
  t.match(stderr, /big \(\d+ bytes\)/)
})

t.test('names are taken once, and can be changed', async (t) => {
  const ticket = await lab.ticket(alpha)
  const { status, stderr } = await refusedUp(['--name', 'beta', '--join', ticket], lab.dir('twin'))
  t.equal(status, 1)
  t.match(stderr, /already has the name "beta"/)
  t.match(await refusedUp(['--name', 'beta', '--join', ticket, '--detach'], lab.dir('twin')), { status: 1, stderr: /already has the name "beta"/ }, 'also in the background')
  const delta = await lab.up({ name: 'delta', data: lab.dir('twin'), join: ticket })
  await lab.settled([alpha, delta])
  await lab.down(delta)
  t.match(await refusedUp(['--name', 'alpha'], delta.data), { status: 1, stderr: /already has the name "alpha"/ }, 'a member that comes back as another')
  const renamed = await lab.up({ name: 'epsilon', data: delta.data })
  t.equal(renamed.info.id, delta.info.id)
  await lab.sees(alpha, 'epsilon', 'alive')
  t.equal((await dc.nodes()).filter((row) => row.id === delta.info.id).length, 1, 'one row, under its new name')
  await lab.down(renamed)
  t.match(await refusedUp(['--name', 'no spaces'], lab.dir('bad-name')), { status: 1, stderr: /is no name for a node/ })
})

t.test('one node per directory', async (t) => {
  t.match(await refusedUp(['--name', 'other'], alpha.data), { status: 1, stderr: /already listens/ })
  t.match(await refusedUp(['--name', 'other', '--detach'], alpha.data), { status: 1, stderr: /already listens/ })
  t.equal(await answers(), 'alpha,beta')
  t.match(await refusedUp(['--name', 'other', '--listen', alpha.info.addresses[0] ?? ''], lab.dir('port')), { status: 1, stderr: /Cannot listen on/ }, 'and one per port')
})

t.test('a node in the background', async (t) => {
  const data = lab.dir('background')
  const { status, stdout, stderr } = await lab.run({ data }, ['up', '--json', '--name', 'background', '--listen', '127.0.0.1', '--join', '-', '--detach'], { input: await lab.ticket(alpha) })
  t.equal(status, 0, stderr)
  const { pid } = JSON.parse(stdout) as { readonly pid: number }
  const [node] = processes().filter((p) => p.pid === pid)
  if (node === undefined) throw new Error(`no process ${pid}`)
  t.teardown(() => { if (isRunning(node)) process.kill(pid, 'SIGKILL') })
  t.notMatch(node.command, /kumoi1/, 'its ticket is not in its arguments')
  t.match(await lab.run({ data }, ['--json', 'info']), { status: 0, stdout: new RegExp(`"pid":${pid},`) })
  t.match(await lab.run({ data }, ['down']), { status: 0, stdout: 'background has left\n' })
  await until('the process ends', () => !isRunning(node))
  t.match(await lab.run({ data }, ['info']), { status: 3 })
})

t.test('tickets: expired, altered, cut off, foreign', async (t) => {
  const short = (await lab.run(alpha, ['ticket', '--lifetime', '1s'])).stdout.trim()
  const good = await lab.ticket(alpha)
  const at = Math.floor(good.length / 2)
  const altered = good.slice(0, at) + (good[at] === 'a' ? 'b' : 'a') + good.slice(at + 1)
  for (const [name, ticket, text] of [
    ['altered', altered, /altered|not a whole ticket/], ['cut off', good.slice(0, -20), /not a whole ticket|altered/], ['a word', 'hello', /not a whole ticket/],
  ] as const) {
    const { status, stderr } = await refusedUp(['--name', 'x', '--join', ticket], lab.dir('joiner'))
    t.equal(status, 1, name)
    t.match(stderr, text, name)
  }
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  t.match(await refusedUp(['--name', 'x', '--join', short], lab.dir('joiner')), { status: 1, stderr: /The ticket expired at/ })
  const island = await lab.up({ name: 'island' })
  const foreign = await lab.ticket(island)
  await lab.down(island)
  t.match(await refusedUp(['--name', 'x', '--join', foreign], lab.dir('joiner')), { status: 1, stderr: /No member of fabric \w+ answered/ }, 'a fabric that is not there')
  t.match(await refusedUp(['--name', 'island', '--join', good], island.data), { status: 1, stderr: /already belongs to fabric/ })
  const joined = await lab.up({ name: 'joined', data: lab.dir('joiner'), join: good })
  t.equal(joined.info.fabric, alpha.info.fabric, 'the directory that was refused with bad tickets is not spoilt')
  await lab.down(joined)
})

t.test('members whose clocks are an hour off, one each way', async (t) => {
  let admitter = alpha
  const skewed: LabNode[] = []
  for (const [name, hours] of [['early', 1], ['late', -1]] as const) {
    const shift = lab.dir(`${name}.mjs`)
    writeFileSync(shift, `const now = Date.now; const by = ${hours} * 3_600_000
const Real = Date
globalThis.Date = class Date extends Real { constructor(...args) { if (args.length === 0) super(now() + by); else super(...args) } static now() { return now() + by } }\n`)
    const node = await lab.up({ name, join: await lab.ticket(admitter), imports: [pathToFileURL(shift).href] })
    t.ok(Math.abs(node.info.startedAtMs - Date.now() - hours * 3_600_000) < 60_000, 'its clock is off')
    skewed.push(node)
    // The next is admitted by this one, two hours before its own time.
    admitter = node
  }
  await lab.settled([alpha, beta, ...skewed])
  for (const node of [alpha, ...skewed]) {
    t.equal(await answers(node), 'alpha,beta,early,late')
    const there = await lab.connect(node)
    t.equal(await there.range(1_000).dsum(), 499_500)
    t.equal(await there.pms.dmap((pm) => pm.exec('true'), { timeoutMs: 10_000 }).dcount((r) => r.code === 0), 4)
  }
  t.same((await dc.nodes()).filter((row) => row.state !== 'left').map((row) => row.state), ['alive', 'alive', 'alive', 'alive'], 'nobody is suspected for it')
  for (const node of skewed) await lab.down(node)
})

const mounted = ((): string | false => {
  if (process.getuid?.() !== 0) return 'needs root (to mount a small tmpfs)'
  const disk = lab.dir('disk')
  try {
    mkdirSync(disk)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { stdio: 'ignore' })
    return false
  } catch {
    return 'absent: mount of a tmpfs'
  }
})()
if (mounted === false) lab.beforeRemoval(() => { execFileSync('umount', ['-l', lab.dir('disk')]) })

t.test('a full disk: the node goes on in memory; a new one says what is wrong', { skip: mounted }, async (t) => {
  const disk = lab.dir('disk')
  const fill = (): void => { try { writeFileSync(join(disk, `filler-${randomBytes(4).toString('hex')}`), Buffer.alloc(2 ** 21)) } catch { /* that is the point */ } }
  const node = await lab.up({ name: 'full', data: join(disk, 'node'), join: await lab.ticket(alpha) })
  await lab.settled([alpha, beta, node])
  fill()
  const full = await lab.connect(node)
  for (let i = 0; i < 3; i++) {
    const table = Array.from({ length: 20_000 }, (_, k) => `row ${i} ${k}`)
    t.same(await full.pms.dmap(() => table.length), [20_000, 20_000, 20_000], 'new code and captured values')
  }
  t.equal(await answers(node), 'alpha,beta,full')
  await t.rejects(lab.ticket(node), { code: 'RMO_ERR_AUDIT_UNAVAILABLE' }, 'what cannot be recorded is not done')
  const { status, stderr } = await refusedUp(['--name', 'newcomer', '--join', await lab.ticket(alpha)], join(disk, 'other'))
  t.equal(status, 1)
  t.match(stderr, /no space|ENOSPC|full/i)
  t.notMatch(stderr, /\n\s+at /, 'no stack trace')
  const detached = await refusedUp(['--name', 'newcomer', '--join', await lab.ticket(alpha), '--detach'], join(disk, 'third'))
  t.equal(detached.status, 1)
  t.match(detached.stderr, /no space|ENOSPC|full/i)
  await lab.down(node)
  const again = await lab.up({ name: 'full', data: join(disk, 'node') })
  await lab.settled([alpha, again])
  t.pass('a node that was there starts on a full disk')
  await lab.down(again)
})

// ---------------------------------------------------------------- strangers

const frame = (bytes: number, sent: Buffer): Buffer => { const head = Buffer.alloc(4); head.writeUInt32LE(bytes); return Buffer.concat([head, sent]) }
const frameBE = (bytes: number, sent: Buffer): Buffer => { const head = Buffer.alloc(4); head.writeUInt32BE(bytes); return Buffer.concat([head, sent]) }
const NONSENSE: Readonly<Record<string, Buffer>> = {
  'garbage': randomBytes(3_000), 'much garbage': randomBytes(3_000_000), 'an HTTP request': Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
  'an oversize frame': frame(0xfffffff0, randomBytes(100)), 'an oversize frame (big-endian)': frameBE(0xfffffff0, randomBytes(100)),
  'half a frame': frame(1_000, randomBytes(500)), 'half a frame (big-endian)': frameBE(1_000, randomBytes(500)), 'one byte': Buffer.from([7]), 'zeros': Buffer.alloc(10_000),
}
function open(target: { readonly path: string } | { readonly host: string; readonly port: number; readonly localAddress: string }, bytes?: Buffer): Socket {
  const socket = dial(target)
  socket.on('error', () => {})
  socket.resume()
  if (bytes !== undefined) socket.write(bytes)
  return socket
}

t.test('strangers who talk nonsense to the port and to the local socket', async (t) => {
  const [host = '', port = ''] = (alpha.info.addresses[0] ?? '').split(':')
  const sockets: Socket[] = []
  t.teardown(() => { for (const socket of sockets) socket.destroy() })
  for (const bytes of Object.values(NONSENSE)) {
    sockets.push(open({ host, port: Number(port), localAddress: '127.0.0.2' }, bytes), open({ path: join(alpha.data, 'node.sock') }, bytes))
    t.equal(await answers(), 'alpha,beta')
  }
  await until('the port has hung up on all of them', () => sockets.filter((_, i) => i % 2 === 0).every((socket) => socket.destroyed || socket.readableEnded), 8_000)
  t.equal((await dc.node()).pid, alpha.pid)
  t.equal(await answers(beta), 'alpha,beta')
})

t.test('200 connections that say nothing', async (t) => {
  const [host = '', port = ''] = (alpha.info.addresses[0] ?? '').split(':')
  const silent = Array.from({ length: 200 }, () => open({ host, port: Number(port), localAddress: '127.0.0.3' }))
  t.teardown(() => { for (const socket of silent) socket.destroy() })
  const ticket = await lab.ticket(alpha)
  const joining = lab.up({ name: 'newcomer', join: ticket })
  for (let i = 0; i < 20; i++) t.equal(await within('an honest call', 5_000, answers(beta)), await answers())
  const newcomer = await joining
  await lab.settled([alpha, beta, newcomer])
  t.pass('and an honest node gets in')
  await until('the silent are sent away', () => silent.every((socket) => socket.destroyed || socket.readableEnded), 10_000)
  const shells = Array.from({ length: 200 }, () => open({ path: join(alpha.data, 'node.sock') }))
  t.teardown(() => { for (const socket of shells) socket.destroy() })
  t.match(await lab.run(alpha, ['--json', 'pms.dmap(pm => pm.name)']), { status: 0, stdout: '["alpha","beta","newcomer"]\n' }, 'the local socket too')
})
