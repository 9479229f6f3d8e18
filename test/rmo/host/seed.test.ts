// Seeds: no name, key or command breaks out of its quotes, and the image reads back as it was written.
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fc } from '../../support/property.ts'
import t from 'tap'
import { LIMITS, systemClock } from '../../../fabric/base.ts'
import { createDiskTools } from '../../../rmo/host/storage/disk-tools.ts'
import { makeSeedIso } from '../../../rmo/host/storage/seed-iso.ts'
import { flowYaml, hostnameOf, seedFiles } from '../../../rmo/host/storage/seed.ts'
import { call } from '../../support/storage-host.ts'

const run = promisify(execFile)
const there = async (tool: string, args: readonly string[]): Promise<boolean> => run(tool, [...args]).then(() => true, () => false)
const skipIso = await there('xorrisofs', ['--version']) ? false : 'absent: xorrisofs'
const skipYaml = await there('python3', ['-c', 'import yaml']) ? false : 'absent: python3 with yaml'

/**
 * Double-quoted YAML scalars as flowYaml writes them, back to data: \U is the one escape that JSON lacks. Read as a JavaScript
 * literal: JSON.parse of V8 13.6 now and then takes an escaped key for another one of the same shape ("\u2028" for "\\").
 */
const parsed = (text: string): unknown => (0, eval)(`(${text.replace(/\\(?:U([0-9a-f]{8})|.)/g, (escape, point?: string) => point === undefined ? escape : JSON.stringify(String.fromCodePoint(parseInt(point, 16))).slice(1, -1))})`)
const HOSTILE = ['a: b', '#x', "it's", '"', '\\', '- a', '{{', '*x', '&x', '!x', '%x', '@x', 'no', '~', '\n#cloud-config', '\u2028', '\u0085', '日本', '😀', 'a\\ud83d', '\ud800', '</x>', '$(x)', '`x`', '']
const anyText = fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ unit: 'binary', maxLength: 40 }), fc.string({ maxLength: 40 }))

const mended = (value: unknown): unknown => Array.isArray(value) ? value.map(mended) : typeof value === 'string' ? value.toWellFormed() : value

t.test('any data is written in ASCII on one line, and reads back the same', async () => {
  fc.assert(fc.property(fc.dictionary(anyText.filter((key) => key !== '__proto__'), fc.oneof(anyText, fc.array(anyText), fc.integer(), fc.boolean())), (data) => {
    const text = flowYaml(data)
    if (!/^[\x20-\x7e]*$/.test(text)) return false
    const expected = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, mended(value)]))
    // Keys with half a surrogate are mended as well; compare those by text.
    return Object.keys(data).some((key) => !key.isWellFormed()) || JSON.stringify(parsed(text)) === JSON.stringify(expected)
  }), { numRuns: 1_000 })
})

t.test('a YAML parser agrees', { skip: skipYaml }, async (t) => {
  const data = Object.fromEntries(HOSTILE.map((text, i) => [`k${i} ${text.toWellFormed()}`, [text.toWellFormed()]]))
  const { stdout } = await run('python3', ['-c', 'import sys,json,yaml; print(json.dumps(yaml.safe_load(sys.argv[1])))', flowYaml(data)])
  t.same(JSON.parse(stdout), data)
})

t.test('the files say who the guest is', async (t) => {
  const files = seedFiles({ instanceId: 'i-1', hostname: 'web-1', context: { users: [{ name: 'a' }], network: { version: 2 } } })
  t.same(files, [
    { name: 'meta-data', text: 'instance-id: "i-1"\nlocal-hostname: "web-1"\n' },
    { name: 'user-data', text: '#cloud-config\n{"users":[{"name":"a"}],"hostname":"web-1"}\n' },
    { name: 'network-config', text: '{"version":2}\n' },
  ])
  t.match(seedFiles({ instanceId: 'i', hostname: 'vm', context: { hostname: 'x\ny: "z"' } })[0], { text: 'instance-id: "i"\nlocal-hostname: "x\\ny: \\"z\\""\n' })
  t.throws(() => seedFiles({ instanceId: 'i', hostname: 'vm', context: { big: 'x'.repeat(LIMITS.seedBytesMax) } }), { code: 'RMO_ERR_ARGUMENT_INVALID' })
  t.throws(() => seedFiles({ instanceId: 'i', hostname: 'vm', context: { hostname: '' } }), { code: 'RMO_ERR_ARGUMENT_INVALID' })
})

t.test('any VM name becomes a host name', async (t) => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 1_000 }), (name) => /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(hostnameOf(name))))
  t.equal(hostnameOf('web 1 <b>'), 'web-1-b')
  t.equal(hostnameOf('日本'), 'guest')
})

t.test('the image is labelled CIDATA, holds the files, and is the same for the same files', { skip: skipIso }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-iso-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const tools = createDiskTools({ machine: () => 'alpha', clock: systemClock })
  const files = seedFiles({ instanceId: 'i-1', hostname: 'web', context: { runcmd: HOSTILE, network: { version: 2, ethernets: {} } } })
  const [one, two] = [join(directory, 'one.iso'), join(directory, 'two.iso')]
  await Promise.all([makeSeedIso(tools, files, one, call), makeSeedIso(tools, files, two, call)])
  const bytes = await readFile(one)
  t.equal(bytes.subarray(32_769, 32_774).toString(), 'CD001')
  t.equal(bytes.subarray(32_808, 32_840).toString().trim(), 'CIDATA')
  t.ok(bytes.equals(await readFile(two)), 'byte for byte')
  const out = join(directory, 'out')
  await run('xorriso', ['-osirrox', 'on', '-indev', one, '-extract', '/', out])
  for (const { name, text } of files) t.equal(await readFile(join(out, name), 'utf8'), text, name)
})

t.test('a machine without the tool says what to install', async (t) => {
  const tools = createDiskTools({ machine: () => 'alpha', clock: systemClock })
  const none = { run: (tool: string, args: readonly string[], of: typeof call) => tools.run(`absent-${tool}`, args, of) }
  await t.rejects(makeSeedIso(none, seedFiles({ instanceId: 'i', hostname: 'h', context: {} }), join(tmpdir(), 'kumoi-never.iso'), call), { code: 'RMO_ERR_TOOL_MISSING' })
})

t.test('few tools run at once, the others wait; who gives up leaves the queue', async (t) => {
  const tools = createDiskTools({ machine: () => 'alpha', clock: systemClock })
  const stop = new AbortController()
  const long = Array.from({ length: LIMITS.diskToolsInFlightMax }, () => tools.run('sleep', ['60'], { ...call, signal: stop.signal }))
  const giveUp = new AbortController()
  const waiting = tools.run('true', [], { ...call, signal: giveUp.signal })
  const next = tools.run('true', [], call)
  giveUp.abort(new Error('changed my mind'))
  await t.rejects(waiting, { message: 'changed my mind' })
  const ended = long.map((each) => t.rejects(each, { message: 'enough' }))
  stop.abort(new Error('enough'))
  await Promise.all(ended)
  t.match(await next, { code: 0 })
})
