// The event thread of this process, as the main thread sees it: one for all libvirt connections, because libvirt's event
// loop is the process's. Started by the first connection, ended after the last.

import { closeSync, writeSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { exitDespite } from './exit.ts'
import type { CallbackAddresses, EventCommand, EventReport, GuestName, RawEvent } from './messages.ts'
import type { Pointer } from './operation.ts'

export interface ConnectionListener { onEvent(event: RawEvent): void; onLost(): void }
export interface StreamListener { onData(bytes: Uint8Array): void; onEnd(reason: string): void }
export interface EventLoop {
  /** What a connection registers with libvirt. */
  readonly callbacks: CallbackAddresses
  /** Announces a connection before its callbacks are registered with the answered token. */
  reserve(listener: ConnectionListener): number
  /** Tells when the connection is lost, and, with the hypervisor's state directory, when an emulator dies. */
  watch(token: number, connection: Pointer, stateDirectory: string | undefined): void
  /** Guests that run, so that their emulators are watched; those known already are no work. */
  running(token: number, guests: readonly GuestName[]): void
  /** Resolves when the event thread will not touch the connection again. */
  unwatch(token: number, connection: Pointer): Promise<void>
  openStream(stream: Pointer, listener: StreamListener): number
  closeStream(id: number, stream: Pointer): Promise<void>
  /** Resolves when libvirt has taken the bytes; rejects when the console is closed. */
  send(id: number, bytes: Uint8Array): Promise<void>
  /** Gives the loop back; the last one ends the thread. */
  release(): Promise<void>
}
/** Thrown by acquireEventLoop when libvirt cannot be loaded. */
export interface NoLibrary { readonly noLibrary: string }

interface Shared { readonly loop: EventLoop; users: number }
let shared: Promise<Shared> | undefined

/** The loop of this process; each acquire needs its release. Rejects with NoLibrary. */
export async function acquireEventLoop(): Promise<EventLoop> {
  shared ??= start().catch((error: unknown) => {
    shared = undefined
    throw error
  })
  const of = await shared
  of.users++
  return of.loop
}

function start(): Promise<Shared> {
  // Until its pipe is known nobody can wake the thread, which may sleep in C already: a process that ends by then must not join it.
  const awake = exitDespite(() => true)
  const worker = new Worker(new URL('./event-worker.ts', import.meta.url), { name: 'kumoi-libvirt-events' })
  return new Promise<Shared>((resolve, reject) => {
    const failed = (reason: string): void => reject({ noLibrary: reason } satisfies NoLibrary)
    worker.once('error', (error) => failed(error instanceof Error ? error.message : String(error)))
    worker.once('message', (report: EventReport) => {
      if (report.type === 'ready') resolve(serve(worker, report.callbacks, report.wakeFd))
      else if (report.type === 'no-library') failed(report.reason)
      worker.unref()
    })
  }).finally(awake)
}

function serve(worker: Worker, callbacks: CallbackAddresses, wakeFd: number): Shared {
  const connections = new Map<number, ConnectionListener>()
  const streams = new Map<number, StreamListener>()
  const waiting = new Map<string, { resolve(): void; reject(error: Error): void }>()
  let nextNumber = 1
  let ended = false

  /** A byte in the pipe ends the thread's poll(); a full pipe will end it too. */
  const wake = (byte: number): void => {
    try {
      writeSync(wakeFd, Uint8Array.of(byte))
    } catch {
      return
    }
  }
  const tell = (command: EventCommand): void => {
    if (ended) return
    worker.postMessage(command)
    wake(1)
  }
  const ask = (key: string, command: EventCommand): Promise<void> => new Promise((resolve, reject) => {
    if (ended) {
      reject(new Error('the event loop has ended'))
      return
    }
    waiting.set(key, { resolve, reject })
    worker.ref()
    tell(command)
  })
  const answer = (key: string, error?: string): void => {
    const entry = waiting.get(key)
    waiting.delete(key)
    if (waiting.size === 0) worker.unref()
    if (error === undefined) entry?.resolve()
    else entry?.reject(new Error(error))
  }
  // Node joins its threads at exit, and this one sleeps in C until it is woken.
  const onExit = (): void => wake(0)
  process.once('exit', onExit)

  worker.on('message', (report: EventReport) => {
    switch (report.type) {
      case 'event': connections.get(report.token)?.onEvent(report.event); return
      case 'lost': connections.get(report.token)?.onLost(); return
      case 'unwatched': answer(`unwatch ${report.token}`); return
      case 'stream-data': streams.get(report.id)?.onData(report.bytes); return
      case 'stream-end': streams.get(report.id)?.onEnd(report.reason); return
      case 'stream-closed': answer(`stream ${report.id}`); return
      case 'stream-sent': answer(`send ${report.send}`, report.error)
    }
  })
  worker.on('exit', () => {
    ended = true
    process.off('exit', onExit)
    closeSync(wakeFd)
    for (const { reject } of waiting.values()) reject(new Error('the event loop has ended'))
    waiting.clear()
  })

  const of: Shared = {
    users: 0,
    loop: {
      callbacks,
      reserve(listener) {
        connections.set(nextNumber, listener)
        return nextNumber++
      },
      watch: (token, connection, stateDirectory) => tell({ type: 'watch', token, connection, ...(stateDirectory === undefined ? {} : { stateDirectory }) }),
      running: (token, guests) => tell({ type: 'running', token, guests }),
      async unwatch(token, connection) {
        connections.delete(token)
        await ask(`unwatch ${token}`, { type: 'unwatch', token, connection })
      },
      openStream(stream, listener) {
        const id = nextNumber++
        streams.set(id, listener)
        tell({ type: 'stream-open', id, stream })
        return id
      },
      async closeStream(id, stream) {
        streams.delete(id)
        await ask(`stream ${id}`, { type: 'stream-close', id, stream })
      },
      async send(id, bytes) {
        const send = nextNumber++
        await ask(`send ${send}`, { type: 'stream-send', id, send, bytes })
      },
      async release() {
        of.users--
        if (of.users > 0 || ended) return
        shared = undefined
        const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
        worker.ref()
        tell({ type: 'end' })
        await exited
      },
    },
  }
  return of
}
