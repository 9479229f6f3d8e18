// A control group for each cell: memory with no swap on top, number of threads, CPU. Version 2 beside or below the node's own group,
// or version 1 below it in each hierarchy. The kernel then ends a cell that passes its memory at once; the supervisor
// that polls (cell-process.ts) stays for machines without. Groups that killed nodes left are removed at start. Paths and
// the kernel's tables are handed in, so that both versions can be tried on plain folders.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { LIMITS } from '../../../fabric/base.ts'

const MiB = 1024 * 1024
const PERIOD_US = 100_000
const SHARES_V1 = 1_024
const WEIGHT_V2 = 100
const PREFIX = 'kumoi-cell-'
const CONTROLLERS = ['memory', 'pids', 'cpu'] as const
type Controller = (typeof CONTROLLERS)[number]

/** Folders in which groups may be made, by what they govern; with version 2 all are one. */
export interface GroupPlaces { readonly version: 1 | 2; readonly folders: ReadonlyMap<Controller, string> }

export interface CellGroup {
  add(pid: number): void
  /** True when the kernel ended a process of the group for its memory. */
  ranOut(): boolean
  /** Most that the group ever had, MiB; undefined where the kernel does not count it. */
  peakMiB(): number | undefined
  /** After its last process is gone. */
  remove(): void
}

/** Where this process may make groups, from /proc/self/mountinfo and /proc/self/cgroup. */
export function findGroupPlaces(mounts: string, own: string): GroupPlaces | undefined {
  const mounted = mounts.split('\n').flatMap((line) => {
    const [head = '', tail = ''] = line.split(' - ')
    const [, , , root = '/', point = ''] = head.split(' ')
    const [type = '', , options = ''] = tail.split(' ')
    return type === 'cgroup' || type === 'cgroup2' ? [{ type, root, point, names: options.split(',') }] : []
  })
  const groups = own.split('\n').map((line) => /^\d+:([^:]*):(.*)$/.exec(line)).filter((found) => found !== null)
  const folder = (mount: { readonly root: string; readonly point: string }, path: string): string => join(mount.point, relative(mount.root, path))
  const unified = mounted.find(({ type }) => type === 'cgroup2')
  const ownUnified = groups.find((group) => group[1] === '')?.[2]
  if (unified !== undefined && ownUnified !== undefined) {
    const self = folder(unified, ownUnified)
    // A group that has processes may not hand memory on, save the root: then the new groups stand beside it.
    for (const place of self === unified.point ? [self] : [self, join(self, '..')]) {
      const handed = read(join(place, 'cgroup.subtree_control')).trim().split(/\s+/)
      if (handed.includes('memory')) return { version: 2, folders: new Map(CONTROLLERS.filter((name) => handed.includes(name)).map((name) => [name, place])) }
    }
  }
  const folders = new Map<Controller, string>()
  for (const controller of CONTROLLERS) {
    const mount = mounted.find(({ type, names }) => type === 'cgroup' && names.includes(controller))
    const path = groups.find((group) => group[1]?.split(',').includes(controller))?.[2]
    if (mount !== undefined && path !== undefined) folders.set(controller, folder(mount, path))
  }
  return folders.has('memory') ? { version: 1, folders } : undefined
}

export class CellGroups {
  readonly #places: GroupPlaces
  readonly #stuck = new Set<string>()
  static #last = 0

  constructor(places: GroupPlaces) {
    this.#places = places
    for (const folder of new Set(places.folders.values())) this.#sweep(folder)
  }

  get description(): string { return `cgroup version ${this.#places.version}: ${[...this.#places.folders.keys()].join(', ')}` }

  /** Throws when the kernel does not allow the group or its memory limit. */
  make(lanes: number): CellGroup {
    for (const folder of this.#stuck) this.#remove(folder)
    const name = `${PREFIX}${process.pid}-${++CellGroups.#last}`
    const made = new Map<Controller, string>([...this.#places.folders].map(([controller, folder]) => [controller, join(folder, name)]))
    const folders = [...new Set(made.values())]
    const remove = (): void => { for (const folder of folders) this.#remove(folder) }
    try {
      for (const folder of folders) mkdirSync(folder)
      this.#limit(made, lanes)
    } catch (error) {
      remove()
      throw error
    }
    const memory = made.get('memory') ?? ''
    const { version } = this.#places
    return {
      add: (pid) => { for (const folder of folders) writeFileSync(join(folder, 'cgroup.procs'), String(pid)) },
      ranOut: () => /^oom_kill [1-9]/m.test(read(join(memory, version === 2 ? 'memory.events' : 'memory.oom_control'))),
      peakMiB: () => {
        const bytes = read(join(memory, version === 2 ? 'memory.peak' : 'memory.max_usage_in_bytes'))
        return bytes === '' ? undefined : Number(bytes) / MiB
      },
      remove,
    }
  }

  #limit(made: ReadonlyMap<Controller, string>, lanes: number): void {
    const set = (controller: Controller, file: string, value: string | number): void => writeFileSync(join(made.get(controller) ?? '', file), String(value))
    const bytes = LIMITS.cellGroupMiBMax * MiB
    // One core more than lanes: V8 collects garbage on a thread of its own.
    const quotaUs = (lanes + 1) * PERIOD_US
    const cpu = made.has('cpu')
    if (this.#places.version === 2) {
      set('memory', 'memory.max', bytes)
      optional(() => set('memory', 'memory.swap.max', 0))
      optional(() => set('memory', 'memory.oom.group', 1))
      if (cpu) set('cpu', 'cpu.max', `${quotaUs} ${PERIOD_US}`)
      if (cpu) set('cpu', 'cpu.weight', WEIGHT_V2 * lanes)
    } else {
      set('memory', 'memory.limit_in_bytes', bytes)
      // With swap together: none on top. Absent where the kernel does not account swap.
      optional(() => set('memory', 'memory.memsw.limit_in_bytes', bytes))
      if (cpu) set('cpu', 'cpu.cfs_period_us', PERIOD_US)
      if (cpu) set('cpu', 'cpu.cfs_quota_us', quotaUs)
      if (cpu) set('cpu', 'cpu.shares', SHARES_V1 * lanes)
    }
    if (made.has('pids')) set('pids', 'pids.max', LIMITS.cellThreadsMax)
  }

  #remove(folder: string): void {
    try {
      if (existsSync(folder)) rmdirSync(folder)
      this.#stuck.delete(folder)
    } catch {
      // The kernel has not let go of its last process yet: tried again with the next cell, or by the next node.
      this.#stuck.add(folder)
    }
  }

  #sweep(folder: string): void {
    for (const name of list(folder)) {
      const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]
      if (pid !== undefined && !existsSync(`/proc/${pid}`)) this.#remove(join(folder, name))
    }
  }
}

function optional(write: () => void): void {
  try {
    write()
  } catch {
    // This kernel has no such file.
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
