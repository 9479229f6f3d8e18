// What the storage room needs of the place where disks are: files of the host (disk-files.ts), or a simulated
// host's records (disk-records.ts). One of the two is chosen once, in storage-room.ts; nothing else asks.
//
// Paths are absolute. Nothing is ever overwritten, nothing half-made is ever seen under its final name: a call that
// fails leaves no file of its own. Errors: RMO_ERR_ALREADY_EXISTS, NO_SPACE, DISK_FAILED, DISK_UNUSABLE, TOOL_MISSING,
// BUSY. Types only.

import type { Call, PoolRecord, VolumeRecord } from '../../driver/contract.ts'
import type { SeedFile } from './seed.ts'

export type DiskFormat = 'qcow2' | 'raw'
export interface Backing { readonly path: string; readonly format: DiskFormat }

/** A disk as its file says it. */
export interface DiskFacts {
  readonly format: DiskFormat | 'iso'
  readonly sizeBytes: number
  readonly capacityBytes: number
  readonly modifiedAtMs: number
  /** Nobody may write to it. */
  readonly sealed: boolean
  readonly backing?: Backing
  /** An overlay without data of its own: it shows exactly its base. */
  readonly blank: boolean
  /** Snapshots inside the file. */
  readonly snapshots: number
  /** It has other names in the file system (hard links), under which somebody else may write to it. */
  readonly linked?: boolean
  /** Why it is not to be used: damaged, encrypted, data or base outside the file system. */
  readonly unusable?: string
}

/** Kept beside each disk that Kumoi made, so that it knows what it may remove. 'base': a disk frozen so that clones stand on it. */
export interface DiskNote {
  readonly owner: string
  readonly role: 'root' | 'seed' | 'data' | 'base'
  readonly madeAtMs: number
}
export interface DiskWish {
  readonly format: DiskFormat
  /** Default: the backing's. */
  readonly capacityBytes?: number
  readonly backing?: Backing
}

export interface DiskStore {
  /** The driver sees what is made here only after a refresh of the pool. */
  readonly needsRefresh: boolean
  /** undefined: nothing there. */
  probe(path: string, call: Call): Promise<DiskFacts | undefined>
  /** The path without links, of a file that is there or not: one file has one such path. */
  realPath(path: string): Promise<string>
  /** A directory for disks, made when absent. */
  makeDirectory(path: string): Promise<void>
  create(path: string, wish: DiskWish, note: DiskNote, call: Call): Promise<void>
  /** An independent copy, its bases included; `onProgress` from 0 to 1. */
  copy(source: Backing, path: string, wish: { readonly format: DiskFormat }, note: DiskNote, call: Call, onProgress?: (ratio: number) => void): Promise<void>
  writeSeed(path: string, files: readonly SeedFile[], note: DiskNote, call: Call): Promise<void>
  /** Freezes what is at `path` as a base for overlays; afterwards `path` shows the same and can be written. Nobody may have it open. */
  share(path: string, note: DiskNote, call: Call): Promise<Backing>
  /** What Kumoi made it as for that owner; undefined: for another one, or not made by Kumoi. */
  roleFor(path: string, owner: string): Promise<DiskNote['role'] | undefined>
  /** Uuid of the VM that Kumoi made it for; undefined: not made by Kumoi. */
  ownerOf(path: string): Promise<string | undefined>
  /** A disk that share() froze, whoever's it was. */
  isBase(path: string): Promise<boolean>
  /** As writeSeed, in place of what is there; answers how to put that back. */
  rewriteSeed(path: string, files: readonly SeedFile[], note: DiskNote, call: Call): Promise<() => Promise<void>>
  /** Removes a disk and its note; nothing there is fine. */
  remove(path: string, call: Call): Promise<void>
  /** Simulated hosts keep no common record of the directories that they share: a file there may be there without being seen. */
  isUnseen?(path: string): boolean
  /** Disks in the directory of `path` that stand directly on it. */
  overlaysBeside(path: string, call: Call): Promise<readonly string[]>
}

/** An image as its sidecar says it. */
export interface ImageNote {
  readonly name: string
  /** Name of the file beside the sidecar. */
  readonly file: string
  readonly format: DiskFormat | 'iso'
  /** SHA-256, 64 hex digits. */
  readonly checksum: string
  readonly sizeBytes: number
  readonly capacityBytes: number
  readonly importedAtMs: number
  /** Of the file; another one means that somebody wrote to it. */
  readonly modifiedAtMs: number
  readonly description: string
}
export interface ImageStore {
  /** Images of a pool (`volumes`: what the inventory shows of it); sidecars that cannot be read are passed over. */
  notes(pool: PoolRecord, volumes: readonly VolumeRecord[]): Promise<readonly ImageNote[]>
  /** Copies `source` in, `onProgress` from 0 to 1; the same bytes under the same name again are done already. */
  take(pool: PoolRecord, image: { readonly name: string; readonly source: string; readonly description: string }, call: Call, onProgress?: (ratio: number) => void): Promise<ImageNote>
  writeNote(pool: PoolRecord, note: ImageNote): Promise<void>
  /** SHA-256 of the file as it is now. */
  digest(path: string, call: Call): Promise<string>
  /** Makes the file read-only again and answers its time of change. */
  seal(path: string): Promise<number>
  /** The image's file and sidecar. */
  drop(pool: PoolRecord, note: ImageNote, call: Call): Promise<void>
  /** Removes what an earlier life of this node left unfinished in the pool; answers the names. */
  sweep(pool: PoolRecord): Promise<readonly string[]>
}
