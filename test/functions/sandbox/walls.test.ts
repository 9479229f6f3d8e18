// The walls tried from inside: a cell's process whose isolate, permission model and Node have all been overcome, played by
// programs of this test behind the same wrapper, without Node's permission model. Each row must be refused.

import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import { cellScripts, scriptsDirectory } from '../../../functions/sandbox/bundle.ts'
import { raiseWalls } from '../../../functions/sandbox/kernel/walls.ts'
import type { CellPlace, Walls } from '../../../functions/sandbox/kernel/walls.ts'

const PERL = '/usr/bin/perl'
const data = mkdtempSync(join(tmpdir(), 'kumoi-walls-'))
t.teardown(() => rmSync(data, { recursive: true, force: true }))
const programs = existsSync(PERL) ? [PERL] : []
const walls = await raiseWalls({ directory: scriptsDirectory(data), scripts: await cellScripts(data), programs })
t.teardown(() => walls.close())
const state = (wall: string): string => walls.report.find((row) => row.wall === wall)?.state ?? 'unknown'
const skipped = state('files') === 'up' ? false : `absent: ${walls.report.find(({ wall }) => wall === 'files')?.how}`

/** One place for one process; given back when it is gone. */
function behind(from: Walls, command: readonly string[], input = ''): { readonly child: ChildProcess; readonly place: CellPlace; readonly output: Promise<string> } {
  const place = from.place(1)
  const [program = 'env', ...rest] = [...place.wrapper, '/usr/bin/env', '-i', 'SECRET=of-this-cell', ...command]
  const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'], cwd: '/', env: {} })
  child.stdin.on('error', () => {}).end(input)
  place.begun(child.pid ?? 0)
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (part: string) => { text += part })
  const output = once(child, 'close').then(() => text)
  return { child, place, output }
}

async function run(command: readonly string[], input = ''): Promise<{ readonly text: string; readonly ranOut: boolean; readonly signal: string | null }> {
  const { child, place, output } = behind(walls, command, input)
  const text = await output
  const ranOut = place.ranOut()
  place.leave()
  return { text, ranOut, signal: child.signalCode }
}

/** Bodies of async functions (JavaScript, all of Node): whatever does not throw has got through. */
const throughNode = (secrets: { readonly file: string; readonly socket: string; readonly port: number; readonly victim: number }): Readonly<Record<string, string>> => ({
  'read /etc/shadow': 'fs.readFileSync("/etc/shadow")',
  'read /etc/passwd': 'fs.readFileSync("/etc/passwd")',
  'read the data directory': `fs.readFileSync(${JSON.stringify(secrets.file)})`,
  'list the data directory': `fs.readdirSync(${JSON.stringify(data)})`,
  'find devices': 'fs.readdirSync("/dev")',
  'environment of the node': `fs.readFileSync("/proc/${process.pid}/environ")`,
  'arguments of the node': `fs.readFileSync("/proc/${process.pid}/cmdline")`,
  'descriptors of the node': `fs.readdirSync("/proc/${process.pid}/fd")`,
  'memory of another cell': `fs.openSync("/proc/${secrets.victim}/mem", "r")`,
  'environment of another cell': `fs.readFileSync("/proc/${secrets.victim}/environ")`,
  'root of the machine by the node\'s own': `fs.readdirSync("/proc/${process.pid}/root")`,
  'see any other process': 'const seen = fs.readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name) && Number(name) !== process.pid); if (seen.length === 0) throw Object.assign(new Error(), { code: "NONE" })',
  'settings of the kernel': 'fs.readFileSync("/proc/sys/kernel/hostname")',
  'signal the node': `process.kill(${process.pid}, 0)`,
  'signal another cell': `process.kill(${secrets.victim}, "SIGKILL")`,
  'connect to this machine': `await connected({ host: "127.0.0.1", port: ${secrets.port} })`,
  'connect to a socket in the data directory': `await connected({ path: ${JSON.stringify(secrets.socket)} })`,
  'connect to libvirt': 'await connected({ path: "/var/run/libvirt/libvirt-sock" })',
  'write /tmp': 'fs.mkdirSync("/tmp", { recursive: true }); fs.writeFileSync("/tmp/x", "x")',
  'write beside its scripts': 'fs.writeFileSync("/cell/x", "x")',
  'write over its scripts': 'fs.writeFileSync("/cell/cell-main.mjs", "x")',
  'mount with a program': 'const { status, error } = require("node:child_process").spawnSync("mount", ["-t", "tmpfs", "x", "/cell"]); if (error) throw error',
  'become root': 'process.setuid(0)',
  'become another cell': 'process.setuid(process.getuid() + 1)',
  'take a group': 'process.setgroups([0])',
  'raise its priority': 'os.setPriority(-5)',
})

function nodeScript(rows: Readonly<Record<string, string>>): string {
  const made = Object.entries(rows).map(([title, body]) => `[${JSON.stringify(title)}, async () => { ${body} }]`)
  return `const fs = require("node:fs"), net = require("node:net"), os = require("node:os")
    const connected = (where) => new Promise((done, failed) => net.connect(where).on("connect", done).on("error", failed))
    ;(async () => { const found = {}
      for (const [title, attempt] of [${made.join()}]) try { await attempt(); found[title] = "got through" } catch (error) { found[title] = error.code ?? error.message }
      console.log(JSON.stringify(found)); process.exit(0) })()`
}

t.test('from all of Node', { skip: skipped }, async (t) => {
  const file = join(data, 'node-key')
  writeFileSync(file, 'the key')
  const door = createServer((socket) => { socket.destroy() })
  await new Promise<void>((done) => { door.listen(0, '127.0.0.1', done) })
  const own = createServer((socket) => { socket.destroy() })
  await new Promise<void>((done) => { own.listen(join(data, 'kumoi.sock'), done) })
  const victim = behind(walls, [process.execPath, '-e', 'console.log("up"); setInterval(() => {}, 1000)'])
  t.teardown(() => { for (const server of [door, own]) server.close() })
  await once(victim.child.stdout ?? process.stdout, 'data')
  const rows = throughNode({ file, socket: join(data, 'kumoi.sock'), port: (door.address() as AddressInfo).port, victim: victim.child.pid ?? 0 })
  const { text } = await run([process.execPath, '-e', nodeScript(rows)])
  const found = JSON.parse(text.split('\n').find((line) => line.startsWith('{')) ?? '{}') as Record<string, string>
  t.same(Object.keys(found), Object.keys(rows), 'every row was tried')
  for (const [title, outcome] of Object.entries(found)) t.match(outcome, /^(ENOENT|EACCES|EPERM|ESRCH|EROFS|ENOTDIR|ENETUNREACH|EADDRNOTAVAIL|ECONNREFUSED|ERR_INVALID_ARG_TYPE|ERR_SYSTEM_ERROR|NONE)$/, `${title}: ${outcome}`)
  t.equal(victim.child.exitCode ?? victim.child.signalCode, null, 'the other cell lives')
  victim.child.kill('SIGKILL')
  await victim.output
  victim.place.leave()
})

/** Numbers of x86-64. */
const SYSTEM_CALLS: Readonly<Record<string, string>> = {
  'ptrace the node': `syscall(101, 16, ${process.pid}, 0, 0)`,
  'read memory of the node': `my $buffer = "\\0" x 8; my $here = pack("PQ", $buffer, 8); my $there = pack("QQ", 0x400000, 8); syscall(310, ${process.pid}, $here, 1, $there, 1, 0)`,
  'a user namespace': 'syscall(272, 0x10000000)',
  'a mount namespace': 'syscall(272, 0x00020000)',
  'a network namespace': 'syscall(272, 0x40000000)',
  'enter the node\'s namespaces': `my $fd = syscall(434, ${process.pid}, 0); $fd < 0 ? -1 : syscall(308, $fd, 0x20000)`,
  'change root': 'my $p = "/cell"; syscall(161, $p)',
  'mount': 'my ($a, $b, $c) = ("proc", "/cell", "tmpfs"); syscall(165, $a, $b, $c, 0, 0)',
  'raise a limit': 'my $new = pack("QQ", 100000, 100000); syscall(160, 7, $new)',
  'be root again': 'syscall(105, 0)',
  'load a kernel module': 'my ($m, $o) = ("x", ""); syscall(175, $m, 1, $o)',
  'set the clock': 'my $time = pack("qq", 1, 0); syscall(227, 0, $time)',
  'name the machine': 'my $name = "mine"; syscall(170, $name, 4)',
  'raw sockets': 'syscall(41, 2, 3, 1)',
}

const perl = programs.length > 0 && process.arch === 'x64' ? skipped : 'absent: perl on x86-64'

t.test('by system calls', { skip: perl }, async (t) => {
  for (const [title, call] of Object.entries(SYSTEM_CALLS)) {
    const { text } = await run([PERL], `my $r = do { ${call} }; print $r == -1 ? "refused $!" : "got through $r"`)
    t.match(text, /^refused /, `${title}: ${text}`)
  }
})

t.test('a fork bomb ends at the limit, a memory bomb with its process', { skip: perl }, async (t) => {
  const { text } = await run([PERL], 'my @made; for (1..2000) { my $pid = fork; last unless defined $pid; if ($pid == 0) { sleep 60; exit } push @made, $pid } print scalar @made; kill 9, @made; 1 while wait > 0')
  t.ok(Number(text) > 0 && Number(text) < LIMITS.cellThreadsMax, `${text} forks`)
  if (state('memory') !== 'up') return t.comment('absent: control groups')
  const bomb = await run([PERL], 'my @kept; push @kept, "x" x 16777216 while 1')
  t.equal(bomb.signal, 'SIGKILL')
  t.ok(bomb.ranOut, 'told apart from any other kill')
})

t.test('every process and group of it is gone, and so is the tree', { skip: skipped }, async (t) => {
  const place = walls.place(1)
  const tree = place.wrapper.find((word) => word.includes('/root-')) ?? ''
  place.leave()
  t.ok(existsSync(tree))
  walls.close()
  t.notOk(existsSync(tree))
  t.notMatch(readFileSync('/proc/self/mountinfo', 'utf8'), tree)
  t.equal(spawnSync('sh', ['-c', `find /sys/fs/cgroup -name 'kumoi-cell-${process.pid}-*' | wc -l`], { encoding: 'utf8' }).stdout.trim(), '0')
})
