// What a program and the shell hold: `const dc = await connect()`, and what a node offers.

import type { Manifest, Outcome } from '../functions/mod.ts'
import type { Member, MembershipEvent, NodeInfo } from '../fabric/mod.ts'
import type { Collection, CollectionOptions } from '../functions/mod.ts'
import type { PhysicalMachine } from '../rmo/mod.ts'

export interface ConnectOptions {
  /** The node's data directory; default KUMOI_DATA, else ~/.kumoi. */
  readonly data?: string
  /** Default options of every call ('timeoutMs', ...). */
  readonly defaults?: CollectionOptions
  /** Runs functions in a cell of its own: principal "local:<uid>/<as>". */
  readonly as?: string
  /** Receives console output of shipped functions; default writes to this process's stderr as "name| text". */
  readonly onConsole?: (line: { readonly nodeName: string; readonly level: string; readonly text: string }) => void
}

export interface NodeRow extends Member {
  readonly cpuRatio: number | undefined
  readonly memoryTotalBytes: number | undefined
  readonly memoryFreeBytes: number | undefined
}

export interface DataCenter {
  readonly pms: Collection<PhysicalMachine>
  from<T>(items: Iterable<T> | AsyncIterable<T>): Collection<T>
  range(n: number): Collection<number>
  range(from: number, to: number, step?: number): Collection<number>
  /** What would travel; nothing is sent. */
  explain(fn: (...args: never[]) => unknown): Manifest
  node(): Promise<NodeInfo>
  /** Members as the connected node knows them; no machine is asked. */
  members(): Promise<readonly Member[]>
  /** Members with figures asked of each live one; a member that does not answer keeps undefined figures. */
  nodes(options?: { readonly timeoutMs?: number }): Promise<readonly NodeRow[]>
  ticket(options?: { readonly lifetimeMs?: number }): Promise<string>
  watchMembers(signal?: AbortSignal): AsyncIterable<MembershipEvent>
  /** Asks the connected node to leave and stop; resolves when it has. */
  down(): Promise<void>
  close(): Promise<void>
}

export interface StartNodeOptions {
  readonly data: string
  readonly name?: string
  /** "host" or "host:port"; default: the first non-internal address, any free port. */
  readonly listen?: string
  /** Ticket text; without one, and without an identity of a fabric in the data directory, the node founds a fabric. */
  readonly join?: string
  readonly onLog?: (line: string) => void
}

export interface RunningNode {
  readonly info: NodeInfo
  /** Path of the local Unix socket, mode 0600. */
  readonly socket: string
  /** Leaves cleanly and stops everything. */
  stop(): Promise<void>
  readonly stopped: Promise<void>
}

export type { Manifest, MembershipEvent, NodeInfo, Outcome }
