// What a simulated host has, in one file, so that its guests "go on running" while the node is away: a new node
// finds them as a new libvirt connection would.
//
// Written beside and renamed, so it is whole or as before; a damaged one is refused, not replaced. One write at a time;
// changes during a write make one more. Clock times are wall times in the file (guest-record.ts).

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { RMO } from '../../errors.ts'
import type { NetworkRecord, VolumeRecord } from '../contract.ts'
import { readGuest, writeGuest } from './guest-record.ts'
import type { GuestRecord } from './guest-record.ts'
import { frozen } from './world.ts'
import type { Domain, Incoming, Pool, Snapshot, World } from './world.ts'

const VERSION = 1

type Withheld = 'guest' | 'saved' | 'due' | 'job' | 'snapshots' | 'consoles' | 'record'
interface DomainFile extends Omit<Domain, Withheld> {
  readonly guest?: GuestRecord
  readonly saved?: GuestRecord
  readonly due?: { readonly atWallMs: number; readonly what: 'shutdown' | 'reboot' }
  readonly snapshots: readonly (Omit<Snapshot, 'guest'> & { readonly guest?: GuestRecord })[]
}
interface WorldFile {
  readonly version: number
  readonly domains: readonly DomainFile[]
  readonly incoming: readonly (readonly [string, Incoming])[]
  readonly pools: readonly (Omit<Pool, 'volumes'> & { readonly volumes: readonly VolumeRecord[] })[]
  readonly leftFiles: readonly (readonly [string, readonly VolumeRecord[]])[]
  readonly networks: readonly NetworkRecord[]
}

function printWorld(world: World): string {
  const { clock } = world
  const guest = <K extends 'guest' | 'saved'>(key: K, value: Domain['guest']) => value === undefined ? {} : { [key]: writeGuest(value, clock) } as Record<K, GuestRecord>
  const domains = [...world.domains.values()].map(({ guest: running, saved, due, job: _job, snapshots, consoles: _consoles, record: _record, ...rest }): DomainFile => ({
    ...rest, ...guest('guest', running), ...guest('saved', saved),
    ...(due === undefined ? {} : { due: { atWallMs: due.atMs - clock.nowMs() + clock.wallMs(), what: due.what } }),
    snapshots: snapshots.map(({ guest: memory, ...snapshot }) => ({ ...snapshot, ...guest('guest', memory) })),
  }))
  const file: WorldFile = {
    version: VERSION, domains, incoming: [...world.incoming],
    pools: [...world.pools.values()].map((pool) => ({ ...pool, volumes: [...pool.volumes.values()] })),
    leftFiles: [...world.leftFiles], networks: [...world.networks.values()],
  }
  return `${JSON.stringify(file)}\n`
}

function fillWorld(world: World, file: WorldFile): void {
  const { clock } = world
  world.domains.clear()
  for (const { guest, saved, due, snapshots, ...rest } of file.domains) {
    world.domains.set(rest.uuid, {
      ...rest, settings: frozen(rest.settings), metadata: frozen(rest.metadata), consoles: new Set(),
      guest: guest === undefined ? undefined : readGuest(guest, clock),
      saved: saved === undefined ? undefined : readGuest(saved, clock),
      due: due === undefined ? undefined : { atMs: due.atWallMs - clock.wallMs() + clock.nowMs(), what: due.what },
      snapshots: snapshots.map(({ guest: memory, ...snapshot }) => ({ ...snapshot, ...(memory === undefined ? {} : { guest: readGuest(memory, clock) }) })),
    })
  }
  for (const [uuid, incoming] of file.incoming) world.incoming.set(uuid, incoming)
  for (const [path, volumes] of file.leftFiles) world.leftFiles.set(path, volumes)
  world.pools.clear()
  for (const { volumes, ...pool } of file.pools) world.pools.set(pool.uuid, { ...pool, volumes: new Map(volumes.map((volume) => [volume.name, volume])) })
  world.networks.clear()
  for (const network of file.networks) world.networks.set(network.uuid, network)
}

export interface StateFile {
  /** Fills the world from the file; leaves it as it is when there is none. Rejects with RMO_ERR_FILE_FAILED. */
  load(): Promise<void>
  /** Something changed. */
  touch(): void
  /** Resolves when every change so far is in the file; rejects with RMO_ERR_DRIVER_FAILED when it cannot be. */
  written(): Promise<void>
}

export function createStateFile(path: string, world: World): StateFile {
  let changed = false
  let writing: Promise<void> | undefined
  const write = async (): Promise<void> => {
    while (changed) {
      changed = false
      const beside = `${path}.new`
      try {
        await writeFile(beside, printWorld(world), { mode: 0o600 })
        await rename(beside, path)
      } catch (cause) {
        changed = true
        throw RMO.DRIVER_FAILED({ operation: 'keeping the state', name: world.host, number: 38, text: `${path}: ${cause instanceof Error ? cause.message : String(cause)}` }, { cause })
      }
    }
  }
  const written = (): Promise<void> => {
    if (writing !== undefined) return changed ? writing.then(written) : writing
    return changed ? writing = write().finally(() => { writing = undefined }) : Promise.resolve()
  }
  return {
    async load() {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      const refuse = (reason: string, cause?: unknown): Error => RMO.FILE_FAILED({ path, machine: world.host, reason }, { cause })
      const text = await readFile(path, 'utf8').catch((cause: unknown) => {
        if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw refuse(cause instanceof Error ? cause.message : String(cause), cause)
      })
      if (text === undefined) return
      try {
        const file = JSON.parse(text) as WorldFile
        if (file.version !== VERSION) throw new Error(`version ${String(file.version)}, this Kumoi reads ${VERSION}`)
        fillWorld(world, file)
      } catch (cause) {
        throw refuse(`not the state of a simulated host (${cause instanceof Error ? cause.message : String(cause)})`, cause)
      }
    },
    touch() { changed = true },
    written,
  }
}
