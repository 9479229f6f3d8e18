// What the main thread and libvirt's threads post to each other. Plain data; pointers are bigint addresses.

import type { ErrorRecord } from '../../../fabric/base.ts'
import type { DriverEvent } from '../contract.ts'
import type { FailureRecord } from './failure.ts'
import type { Pointer } from './operation.ts'

/** To a call thread; it answers each with one Reply of the same id. */
export interface CallMessage { readonly id: number; readonly name: string; readonly connection: Pointer | null; readonly args: unknown }
export type Reply =
  | { readonly id: number; readonly type: 'result'; readonly value: unknown }
  | { readonly id: number; readonly type: 'failure'; readonly failure: FailureRecord }
  /** Not libvirt's word: bad XML, a bug. */
  | { readonly id: number; readonly type: 'error'; readonly error: ErrorRecord }
  /** The library could not be loaded in this thread. */
  | { readonly id: number; readonly type: 'no-library'; readonly reason: string }
/** `loaded`: the thread has started and takes its first call. */
export type WorkerMessage = Reply | { readonly type: 'loaded' }

/** Addresses of the event thread's C callbacks, by the list of registrations they belong to (event-table.ts). */
export type CallbackAddresses = Readonly<Record<string, Pointer>>

type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never
/** An event before the main thread has stamped it. */
export type RawEvent = Without<Exclude<DriverEvent, { type: 'connection' }>, 'atMs'>

/** A guest that runs. */
export interface GuestName { readonly uuid: string; readonly name: string }

/** To the event thread, with a byte in its wake-up pipe. */
export type EventCommand =
  /** `stateDirectory`: where its NAME.pid files are, when its emulators are processes of this machine. */
  | { readonly type: 'watch'; readonly token: number; readonly connection: Pointer; readonly stateDirectory?: string }
  | { readonly type: 'unwatch'; readonly token: number; readonly connection: Pointer }
  | { readonly type: 'running'; readonly token: number; readonly guests: readonly GuestName[] }
  | { readonly type: 'stream-open' | 'stream-close'; readonly stream: Pointer; readonly id: number }
  | { readonly type: 'stream-send'; readonly id: number; readonly send: number; readonly bytes: Uint8Array }
  | { readonly type: 'end' }
export type EventReport =
  | { readonly type: 'ready'; readonly callbacks: CallbackAddresses; readonly wakeFd: number }
  | { readonly type: 'no-library'; readonly reason: string }
  | { readonly type: 'event'; readonly token: number; readonly event: RawEvent }
  | { readonly type: 'lost' | 'unwatched'; readonly token: number }
  | { readonly type: 'stream-data'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly type: 'stream-end' | 'stream-closed'; readonly id: number; readonly reason: string }
  | { readonly type: 'stream-sent'; readonly id: number; readonly send: number; readonly error?: string }
