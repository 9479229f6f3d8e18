// What stands around a cell besides Node's permission model: a user of its own, a root that holds only what it loads, no network, no
// capabilities, limits. Each machine allows some of it; what it allows is tried once for a sandbox, and told in words for
// `kumoi doctor` and node.info. Never less in silence: what is missing is said, with the reason.
//
//   node (root): unshare net,ipc,uts -> prlimit -> enter the tree -> chroot -> setpriv: own uid, no groups, no capabilities -> env -i
//   node (user): unshare user,net -> setpriv: no capabilities -> env -i

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { LIMITS } from '../../../fabric/base.ts'
import type { WallReport } from '../../contract.ts'
import { FUNCTIONS } from '../../errors.ts'
import type { CellScripts } from '../bundle.ts'
import { CellGroups, findGroupPlaces } from './cell-group.ts'
import type { CellGroup } from './cell-group.ts'
import { CELL_UID_FIRST, takeCellUser } from './cell-users.ts'
import type { CellUser } from './cell-users.ts'
import { makeEmptyRoot } from './empty-root.ts'
import type { EmptyRoot } from './empty-root.ts'
import { programPath } from './programs.ts'

const MiB = 1024 * 1024
const MODULES = ['isolated-vm', 'piscina', 'node-gyp-build'] as const
/** setpriv's options, from most to least: one that a machine's setpriv refuses is left out, and said. */
const NO_CAPABILITIES = ['--bounding-set', '-all', '--inh-caps', '-all', '--ambient-caps', '-all'] as const
const OWN_PARENT = ['--no-new-privs', '--pdeathsig', 'KILL'] as const

/** What one cell is started with. */
export interface CellPlace {
  /** In front of `env -i`. */
  readonly wrapper: readonly string[]
  readonly scripts: CellScripts
  /** Folders that the cell's Node may read. */
  readonly readable: readonly string[]
  /** At once after the start: the limits hold from here. */
  begun(pid: number): void
  /** True when the kernel ended it for its memory. */
  ranOut(): boolean
  peakMiB(): number | undefined
  /** After its process is gone. */
  leave(): void
}

export interface Walls {
  readonly report: readonly WallReport[]
  /** Throws SANDBOX_START when this process has no user left to give. */
  place(lanes: number): CellPlace
  close(): void
}

export interface WallsOptions {
  /** Private to this node. */
  readonly directory: string
  readonly scripts: CellScripts
  /** Programs that are put into the tree too, to try the walls from inside. */
  readonly programs?: readonly string[]
}

export async function raiseWalls({ directory, scripts, programs = [] }: WallsOptions): Promise<Walls> {
  const require = createRequire(import.meta.url)
  const modules = MODULES.map((name) => packageFolder(require.resolve(name), name))
  const rooted = await tryRoot({ directory, scripts, modules, programs })
  const wrapper = typeof rooted === 'string' ? weakerWrapper() : undefined
  const groups = tryGroups()
  const root = typeof rooted === 'string' ? undefined : rooted
  return {
    report: reportOf(root ?? String(rooted), wrapper, groups),
    place(lanes) {
      const user = root === undefined ? undefined : takeCellUser()
      if (root !== undefined && user === undefined) throw FUNCTIONS.SANDBOX_START({ reason: `${LIMITS.cellUsersMax} cells run in this process already` })
      let group: CellGroup | undefined
      try {
        group = typeof groups === 'string' ? undefined : groups.make(lanes)
      } catch {
        // Allowed when it was tried; whoever changed that since is not the caller. Resident size is still watched.
      }
      return {
        wrapper: root === undefined || user === undefined ? wrapper?.command ?? [] : insideRoot(root, user),
        scripts: root?.scripts ?? scripts,
        readable: [`${dirname((root?.scripts ?? scripts).main)}/`, ...modules.map((folder) => `${folder}/`)],
        begun(pid) {
          try {
            group?.add(pid)
          } catch {
            // Gone already: its end is told by others.
          }
        },
        ranOut: () => group?.ranOut() ?? false,
        peakMiB: () => group?.peakMiB(),
        leave() {
          group?.remove()
          user?.leave()
        },
      }
    },
    close: () => root?.close(),
  }
}

function insideRoot(root: EmptyRoot, { uid }: Pick<CellUser, 'uid'>): readonly string[] {
  return [
    programPath('unshare'), '--net', '--ipc', '--uts', ...limited(),
    ...root.enter, programPath('setpriv'), ...OWN_PARENT.slice(0, 1), '--reuid', String(uid), '--regid', String(uid), '--clear-groups', ...NO_CAPABILITIES, ...OWN_PARENT.slice(1),
  ]
}

/** Threads count for the whole user: only where a cell has one of its own. */
const limited = (): readonly string[] => [programPath('prlimit'), '--core=0', '--fsize=0', `--nofile=${LIMITS.cellFilesMax}`, `--nproc=${LIMITS.cellThreadsMax}`]

/** Runs `env -i` so, which does nothing. */
const allowed = ([command = 'env', ...rest]: readonly string[]): boolean =>
  spawnSync(command, [...rest, programPath('env'), '-i'], { stdio: 'ignore', timeout: LIMITS.wallTryMs, env: {}, cwd: '/' }).status === 0

async function tryRoot({ directory, scripts, modules, programs = [] }: WallsOptions & { readonly modules: readonly string[] }): Promise<EmptyRoot | string> {
  if (process.platform !== 'linux') return 'only Linux has it'
  if (process.getuid?.() !== 0) return 'the node does not run as root'
  try {
    const root = await makeEmptyRoot({ directory, scripts, modules, programs: [process.execPath, programPath('setpriv'), programPath('env'), ...programs] })
    if (allowed(insideRoot(root, { uid: CELL_UID_FIRST }))) return root
    root.close()
    return 'namespaces, chroot or setpriv are refused'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

interface Weaker { readonly command: readonly string[]; readonly network: boolean; readonly capabilities: boolean; readonly parent: boolean }

/** The most of what needs no root; found once for this process. */
let weaker: Weaker | undefined
function weakerWrapper(): Weaker {
  if (weaker !== undefined) return weaker
  const unshare = [programPath('unshare'), '-rn', '--ipc', '--uts']
  const parent = [programPath('setpriv'), ...OWN_PARENT]
  const choices: readonly Weaker[] = [
    { command: [...unshare, ...parent, ...NO_CAPABILITIES], network: true, capabilities: true, parent: true },
    { command: [...unshare, ...parent], network: true, capabilities: false, parent: true },
    { command: parent, network: false, capabilities: false, parent: true },
    { command: unshare, network: true, capabilities: false, parent: false },
  ]
  weaker = choices.find(({ command }) => allowed(command)) ?? { command: [], network: false, capabilities: false, parent: false }
  return weaker
}

function tryGroups(): CellGroups | string {
  try {
    const places = findGroupPlaces(readFileSync('/proc/self/mountinfo', 'utf8'), readFileSync('/proc/self/cgroup', 'utf8'))
    if (places === undefined) return 'no memory controller is handed to this process'
    const groups = new CellGroups(places)
    groups.make(1).remove()
    return groups
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function reportOf(root: EmptyRoot | string, without: Weaker | undefined, groups: CellGroups | string): readonly WallReport[] {
  const why = typeof root === 'string' ? root : ''
  const up = (wall: string, how: string): WallReport => ({ wall, state: 'up', how })
  const absent = (wall: string, how: string): WallReport => ({ wall, state: 'absent', how })
  const polled = `resident size is looked at every ${LIMITS.residentPollMs} ms, at most ${LIMITS.cellResidentMiBMax} MiB`
  return [
    why === '' ? up('user', 'one of its own for each cell') : absent('user', `cells share the node's user: ${why}`),
    why === '' ? up('files', 'an empty root with what a cell loads, read-only; of /proc its own process') : absent('files', `only Node's permission model: ${why}`),
    without === undefined || without.network ? up('network', 'none') : absent('network', 'unshare is refused: cells keep a network'),
    without === undefined || without.capabilities ? up('capabilities', 'none, and none to be had') : absent('capabilities', 'those of the node\'s user: setpriv cannot drop them'),
    without === undefined || without.parent ? up('life', 'ends with the node') : absent('life', 'setpriv is missing: a cell notices the end of its node by itself'),
    typeof groups === 'string' ? absent('memory', `${groups}; ${polled}`) : up('memory', `${groups.description}; at most ${LIMITS.cellGroupMiBMax} MiB`),
    absent('system calls', 'not filtered: setpriv of this machine takes no seccomp filter'),
  ]
}

function packageFolder(file: string, name: string): string {
  const mark = `/node_modules/${name}/`
  return file.slice(0, file.lastIndexOf(mark) + mark.length - 1)
}

/** Resident size of a process, MiB; 0 when it is gone. */
export function residentMiB(pid: number): number {
  try {
    const PAGE_BYTES = 4_096
    return Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * PAGE_BYTES / MiB
  } catch {
    return 0
  }
}
