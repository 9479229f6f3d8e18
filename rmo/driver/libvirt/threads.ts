// A bounded set of threads that wait in C, one call each.
//
//   run() -> queue --a thread is free--> worker.ts --reply--> the caller
//
// Why not the pool of functions/sandbox (piscina): a thread that is stuck in C can neither be stopped nor joined, so a
// pool must be able to give one up and go on with another. A call that outlives its deadline is rejected at once; its
// thread is written off (up to LIMITS.libvirtThreadsLostMax, above that it stays busy) and comes back if the call ever
// ends. Long calls (minutes) never take the last threads, so that a look at the state is always possible.

import { Worker } from 'node:worker_threads'
import { LIMITS } from '../../../fabric/base.ts'
import type { Clock, Timer } from '../../../fabric/base.ts'
import { exitDespite } from './exit.ts'
import type { CallMessage, Reply, WorkerMessage } from './messages.ts'

export interface Job {
  readonly message: Omit<CallMessage, 'id'>
  readonly long: boolean
  readonly timeoutMs: number
  /** It has gone to a thread; from now on it may have an effect. */
  onStart?(): void
  /** The thread has answered (also after the deadline) or died. */
  onEnd?(): void
  onReply(reply: Reply): void
  /** The answer came after the deadline. */
  onLate?(reply: Reply): void
  /** Nobody will answer: how far it had come. */
  onFailure(reason: 'timeout' | 'busy' | 'closed' | 'thread-died', started: boolean, text?: string): void
}
interface Entry { readonly job: Job; readonly id: number; readonly timer: Timer; thread?: Thread; settled: boolean }
interface Thread { readonly worker: Worker; loading: boolean; entry: Entry | undefined; lost: boolean }
export interface Threads {
  /** Answers a function that takes the job back while it waits; false: it has begun. */
  run(job: Job): () => boolean
  /** Ends idle threads; those stuck are left to their fate. */
  close(): Promise<void>
  readonly counts: { readonly threads: number; readonly lost: number; readonly queued: number }
}

export function createThreads(options: { readonly clock: Clock; readonly threads?: number; readonly entry?: URL }): Threads {
  const most = options.threads ?? LIMITS.libvirtThreadsMax
  const longMost = Math.max(1, Math.min(LIMITS.libvirtLongCallsMax, most - 2))
  const threads = new Set<Thread>()
  const lost = new Set<Thread>()
  const queue: Entry[] = []
  let nextId = 1
  let closed = false

  function settle(entry: Entry, deliver: () => void): void {
    if (entry.settled) return
    entry.settled = true
    entry.timer.cancel()
    deliver()
  }

  function freed(thread: Thread): void {
    thread.entry?.job.onEnd?.()
    thread.entry = undefined
    thread.worker.unref()
    if (thread.lost) {
      lost.delete(thread)
      thread.lost = false
      if (closed || threads.size >= most) void thread.worker.terminate()
      else threads.add(thread)
    }
    pump()
  }

  function start(): Thread {
    const worker = new Worker(options.entry ?? new URL('./worker.ts', import.meta.url), { name: 'kumoi-libvirt' })
    const thread: Thread = { worker, loading: true, entry: undefined, lost: false }
    worker.unref()
    worker.on('message', (reply: WorkerMessage) => {
      if (reply.type === 'loaded') {
        thread.loading = false
        pump()
        return
      }
      const { entry } = thread
      if (entry === undefined || entry.id !== reply.id) return
      if (entry.settled) entry.job.onLate?.(reply)
      else settle(entry, () => entry.job.onReply(reply))
      freed(thread)
    })
    const died = (text: string): void => {
      if (!threads.delete(thread) && !lost.delete(thread)) return
      const { entry } = thread
      thread.entry = undefined
      if (entry !== undefined) {
        settle(entry, () => entry.job.onFailure('thread-died', true, text))
        entry.job.onEnd?.()
      }
      pump()
    }
    worker.on('error', (error) => died(error instanceof Error ? error.message : String(error)))
    worker.on('exit', (code) => died(`thread ended with code ${code}`))
    threads.add(thread)
    return thread
  }

  function pump(): void {
    let long = 0
    for (const thread of threads) if (thread.entry?.job.long === true) long++
    for (let at = 0; at < queue.length && !closed;) {
      const entry = queue[at] as Entry
      if (entry.job.long && long >= longMost) {
        at++
        continue
      }
      let thread = [...threads].find((t) => t.entry === undefined)
      // One after another: a burst of quick calls is served by the first thread before a second has loaded.
      if (thread === undefined && threads.size < most && ![...threads].some((t) => t.loading)) thread = start()
      if (thread === undefined) return
      queue.splice(at, 1)
      if (entry.job.long) long++
      thread.entry = entry
      entry.thread = thread
      entry.job.onStart?.()
      // A call under way keeps the process alive, an idle or a lost thread does not.
      thread.worker.ref()
      thread.worker.postMessage({ id: entry.id, ...entry.job.message } satisfies CallMessage)
    }
  }

  function expire(entry: Entry): void {
    const { thread } = entry
    if (thread === undefined) {
      queue.splice(queue.indexOf(entry), 1)
    } else if (lost.size < LIMITS.libvirtThreadsLostMax && threads.delete(thread)) {
      thread.lost = true
      thread.worker.unref()
      lost.add(thread)
      pump()
    }
    settle(entry, () => entry.job.onFailure('timeout', thread !== undefined))
  }

  const unhook = exitDespite(() => lost.size > 0 || [...threads].some((thread) => thread.entry !== undefined))

  return {
    run(job) {
      const refuse = (reason: 'busy' | 'closed'): (() => boolean) => {
        job.onFailure(reason, false)
        return () => false
      }
      if (closed) return refuse('closed')
      if (queue.length >= LIMITS.libvirtQueueMax) return refuse('busy')
      const entry: Entry = { job, id: nextId++, timer: options.clock.after(job.timeoutMs, () => expire(entry)), settled: false }
      queue.push(entry)
      pump()
      return () => {
        const at = queue.indexOf(entry)
        if (at < 0) return false
        queue.splice(at, 1)
        entry.settled = true
        entry.timer.cancel()
        return true
      }
    },
    async close() {
      if (closed) return
      closed = true
      for (const entry of queue.splice(0)) settle(entry, () => entry.job.onFailure('closed', false))
      const idle = [...threads].filter((thread) => thread.entry === undefined)
      for (const thread of [...threads]) {
        if (thread.entry === undefined) continue
        threads.delete(thread)
        thread.lost = true
        thread.worker.unref()
        lost.add(thread)
        const { entry } = thread
        settle(entry, () => entry.job.onFailure('closed', true))
      }
      threads.clear()
      await Promise.all(idle.map((thread) => thread.worker.terminate()))
      if (lost.size === 0) unhook()
    },
    get counts() { return { threads: threads.size, lost: lost.size, queued: queue.length } },
  }
}
