// A file tree for cells that holds only what a cell loads: Node, its libraries, three packages, three scripts; no /dev, no
// /etc, nothing writable; of /proc what belongs to the cell's own user, which is the cell (V8 asks there for its own size). Made once for a sandbox, in a mount namespace that lives as long as this process holds
// it open (/proc/PID/ns/mnt); each cell enters it and then changes its root there. Mounts of the machine do not see it, and unmounting
// on the machine reaches into it (propagation "slave").
//
// chroot and not pivot_root on purpose: the kernel refuses new user namespaces to a process whose root is not its
// namespace's (user_namespaces(7), EPERM), which takes that whole area away from cells; without capabilities nobody leaves a chroot.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, copyFileSync, existsSync, chmodSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { LIMITS } from '../../../fabric/base.ts'
import type { CellScripts } from '../bundle.ts'
import { programPath } from './programs.ts'

export interface EmptyRoot {
  /** Programs and arguments that put what follows them into the tree, still as root. */
  readonly enter: readonly string[]
  /** Where the scripts are in the tree. */
  readonly scripts: CellScripts
  close(): void
}

export interface EmptyRootOptions {
  readonly directory: string
  readonly scripts: CellScripts
  readonly programs: readonly string[]
  /** Folders that a cell loads modules from. */
  readonly modules: readonly string[]
}

const READABLE = 0o004
const SEARCHABLE = 0o005
const SCRIPTS = '/cell'
const PREFIX = 'root-'
const PROC = '/proc'
/** Processes of other users are not there, nor anything but processes (Linux 5.8). */
const PROC_OPTIONS = 'ro,nosuid,nodev,noexec,hidepid=invisible,subset=pid'

/** Throws an Error with the reason when this machine does not allow it. */
export async function makeEmptyRoot({ directory, scripts, programs, modules }: EmptyRootOptions): Promise<EmptyRoot> {
  sweep(directory)
  const files = [...new Set([...programs, ...librariesOf(programs)])]
  for (const file of files) unless((statSync(file).mode & SEARCHABLE) === SEARCHABLE || (statSync(file).mode & READABLE) === READABLE, `${file} is not readable for other users`)
  for (const folder of modules) unless((statSync(folder).mode & SEARCHABLE) === SEARCHABLE, `${folder} is not readable for other users; chmod -R o+rX it`)
  const root = mkdtempSync(join(directory, `${PREFIX}${process.pid}-`))
  try {
    chmodSync(root, 0o755)
    const inside = place(root, scripts)
    for (const file of files) {
      mkdirSync(dirname(join(root, file)), { recursive: true, mode: 0o755 })
      writeFileSync(join(root, file), '', { mode: 0o644 })
    }
    for (const folder of [PROC, ...modules]) mkdirSync(join(root, folder), { recursive: true, mode: 0o755 })
    const table = join(directory, `${basename(root)}.mounts`)
    writeFileSync(table, [[root, root], ...[...files, ...modules].map((path) => [path, join(root, path)])]
      .map(([from = '', to = '']) => `${escaped(from)} ${escaped(to)} none bind,ro,nosuid,nodev 0 0\n`)
      .concat(`proc ${escaped(join(root, PROC))} proc ${PROC_OPTIONS} 0 0\n`).join(''), { mode: 0o600 })
    try {
      const namespace = await mounted(table)
      let open = true
      return {
        enter: [programPath('nsenter'), `--mount=/proc/${process.pid}/fd/${namespace}`, programPath('chroot'), root],
        scripts: inside,
        close: () => {
          // Once: the number may be another file's by the second time.
          if (!open) return
          open = false
          closeSync(namespace)
          rmSync(root, { recursive: true, force: true })
        },
      }
    } finally {
      rmSync(table, { force: true })
    }
  } catch (error) {
    rmSync(root, { recursive: true, force: true })
    throw error
  }
}

/** Copies: the cache directory they lie in belongs to the node alone. */
function place(root: string, scripts: CellScripts): CellScripts {
  mkdirSync(join(root, SCRIPTS), { mode: 0o755 })
  const copy = (path: string): string => {
    const inside = `${SCRIPTS}/${basename(path)}`
    copyFileSync(path, join(root, inside))
    chmodSync(join(root, inside), 0o644)
    return inside
  }
  return { prelude: copy(scripts.prelude), main: copy(scripts.main), worker: copy(scripts.worker) }
}

/** Every path that the loader names, of all programs at once. */
function librariesOf(programs: readonly string[]): readonly string[] {
  const { stdout, status } = spawnSync(programPath('ldd'), [...programs], { encoding: 'utf8', timeout: LIMITS.wallTryMs })
  unless(status === 0, 'ldd cannot tell the libraries of Node')
  return [...stdout.matchAll(/(\/\S+) \(0x/g)].flatMap(([, path]) => (path === undefined ? [] : [path]))
}

/** Descriptor of a mount namespace in which the table is mounted. */
async function mounted(table: string): Promise<number> {
  const keeper = spawn(programPath('unshare'), ['--mount', '--propagation', 'slave', 'sh', '-c', '"$1" -T "$2" -a && echo ready && read -r end', 'sh', programPath('mount'), table],
    { stdio: ['pipe', 'pipe', 'pipe'], env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, timeout: LIMITS.wallTryMs, killSignal: 'SIGKILL' })
  let problem = ''
  keeper.stderr.setEncoding('utf8').on('data', (text: string) => { problem = (problem + text).slice(0, 200) })
  keeper.stdin.on('error', () => {})
  const exit = once(keeper, 'exit')
  try {
    const ready = await Promise.race([once(keeper.stdout, 'data').then(() => true), exit.then(() => false)])
    unless(ready, `mounts are not allowed: ${problem.trim().split('\n')[0] ?? ''}`)
    return openSync(`/proc/${keeper.pid}/ns/mnt`, 'r')
  } finally {
    keeper.stdin.end()
    await exit
  }
}

/** Trees of nodes that were killed. */
function sweep(directory: string): void {
  for (const name of readdirSync(directory)) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]
    if (pid !== undefined && Number(pid) !== process.pid && !existsSync(`/proc/${pid}`)) rmSync(join(directory, name), { recursive: true, force: true })
  }
}

/** As fstab(5) wants it. */
const escaped = (path: string): string => path.replace(/[\s\\]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`)

function unless(fact: boolean, problem: string): void { if (!fact) throw new Error(problem) }
