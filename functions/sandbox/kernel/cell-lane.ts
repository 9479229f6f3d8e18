// The kernel's end of one lane: plans and blobs sent once, attempts by number, frames of the cell checked
// before they mean anything. A frame that makes no sense ends the cell: it is lying or broken.

import type { Socket } from 'node:net'
import { LIMITS } from '../../../fabric/base.ts'
import type { Hash } from '../../../fabric/base.ts'
import { FrameBatch } from '../frame-batch.ts'
import { BLOB_CODE, BLOB_ENVIRONMENT, depthFlag, FrameReader, FROM_LANE, PLAN_FRESH, PLAN_INITIAL, RUN_PROBE, RUN_RANGE, TO_LANE, type Frame, type FrameFields } from '../frames.ts'
import type { ChunkInput, Job } from '../../contract.ts'
import type { JobPlan } from './job-plan.ts'

/** One run of one window of a job on one lane. */
export interface Attempt {
  readonly plan: JobPlan
  readonly job: Job
  /** Elements [from, from + count) of the job's input. */
  readonly from: number
  readonly count: number
  readonly probe: boolean
  readonly remainingMs: number
  /** Takes result, failed, call, console and progress frames. */
  receive(frame: Frame): void
  /** The cell is gone, and `running` attempts with it. */
  died(running: number): void
}

export interface CellLaneHooks {
  ready(): void
  catastrophe(): void
  broken(what: string): void
  package(request: Uint8Array): Promise<{ readonly ok: boolean; readonly body: Uint8Array }>
}

const EMPTY = new Uint8Array(0)
const latin = new TextDecoder('latin1')
const encoder = new TextEncoder()

export class CellLane {
  readonly #socket: Socket
  readonly #frames: FrameBatch
  readonly #hooks: CellLaneHooks
  readonly attempts = new Map<number, Attempt>()
  readonly #plans = new Map<string, number>()
  readonly #sent = new Set<Hash>()
  #lastPlan = 0
  #lastAttempt = 0
  ready = false
  started = false

  constructor(socket: Socket, hooks: CellLaneHooks) {
    this.#socket = socket
    this.#frames = new FrameBatch(socket)
    this.#hooks = hooks
    const reader = new FrameReader(LIMITS.cellFrameBytesMax, (frame) => this.#receive(frame))
    socket.on('data', (chunk: Buffer) => { if (!reader.push(chunk)) hooks.broken('a frame above the size limit') })
    socket.on('error', () => {})
  }

  send(fields: FrameFields): void { if (!this.#socket.destroyed) this.#frames.now(fields) }

  #blob(hash: Hash, kind: number, job: Job): void {
    const bytes = job.blob(hash)
    const body = new Uint8Array(64 + bytes.byteLength)
    body.set(encoder.encode(hash))
    body.set(bytes, 64)
    this.send({ type: TO_LANE.blob, flags: kind, body })
    this.#sent.add(hash)
  }

  #planId(plan: JobPlan, job: Job): number {
    const known = this.#plans.get(plan.key)
    if (known !== undefined) {
      if (this.#plans.size > LIMITS.plansPerLaneMax / 2) {
        this.#plans.delete(plan.key)
        this.#plans.set(plan.key, known)
      }
      return known
    }
    for (const hash of plan.code) if (!this.#sent.has(hash)) this.#blob(hash, BLOB_CODE, job)
    for (const hash of plan.environments) if (!this.#sent.has(hash)) this.#blob(hash, BLOB_ENVIRONMENT, job)
    let forgotten = 0
    const oldest = this.#plans.entries().next()
    if (this.#plans.size >= LIMITS.plansPerLaneMax && oldest.done !== true) {
      forgotten = oldest.value[1]
      this.#plans.delete(oldest.value[0])
    }
    const id = ++this.#lastPlan
    this.#plans.set(plan.key, id)
    const body = new Uint8Array(plan.text.byteLength + (plan.initial?.byteLength ?? 0))
    body.set(plan.text)
    if (plan.initial !== undefined) body.set(plan.initial, plan.text.byteLength)
    this.send({
      type: TO_LANE.plan, id, b: forgotten, c: plan.text.byteLength, x: plan.heapLimitMiB, y: plan.cpuTimeMs, body,
      flags: (plan.fresh ? PLAN_FRESH : 0) | (plan.initial === undefined ? 0 : PLAN_INITIAL),
    })
    return id
  }

  /** Number of the attempt on this lane. */
  start(attempt: Attempt): number {
    const { plan, job, from, count, probe } = attempt
    const input: ChunkInput = job.input
    const b = this.#planId(plan, job)
    const id = this.#lastAttempt = this.#lastAttempt % 0xffff_fffe + 1
    this.attempts.set(id, attempt)
    const range = input.type === 'range'
    this.send({
      type: TO_LANE.run, id, b, c: count, d: from, flags: (range ? RUN_RANGE : 0) | (probe ? RUN_PROBE : 0) | depthFlag(job.depth), x: job.baseIndex + from,
      y: range ? input.start : 0, z: range ? input.step : 0, w: attempt.remainingMs, body: range ? EMPTY : input.bytes,
    })
    return id
  }

  cancel(id: number, how: number, timeoutMs: number): void { this.send({ type: TO_LANE.cancel, id, flags: how, x: timeoutMs }) }

  answer(id: number, call: number, ok: boolean, body: Uint8Array): void {
    if (this.attempts.has(id) && !this.#socket.destroyed) this.#frames.later({ type: TO_LANE.answer, id, b: call, flags: ok ? 1 : 0, body })
  }

  end(id: number): void { this.attempts.delete(id) }

  #receive(frame: Frame): void {
    switch (frame.type) {
      case FROM_LANE.result: case FROM_LANE.failed: case FROM_LANE.call: case FROM_LANE.console: case FROM_LANE.progress: case FROM_LANE.settled:
        this.attempts.get(frame.id)?.receive(frame)
        return
      case FROM_LANE.ready:
        this.ready = true
        return this.#hooks.ready()
      case FROM_LANE.catastrophe: return this.#hooks.catastrophe()
      case FROM_LANE.want: return this.#wanted(latin.decode(frame.body))
      case FROM_LANE.package:
        void this.#hooks.package(frame.body).then(({ ok, body }) => this.send({ type: TO_LANE.package, b: frame.b, flags: ok ? 1 : 0, body }))
        return
      default: return this.#hooks.broken(`a frame of type ${frame.type}`)
    }
  }

  /** Only what a job under way names is given out. */
  #wanted(hash: Hash): void {
    for (const { plan, job } of this.attempts.values()) {
      if (plan.code.includes(hash)) return this.#blob(hash, BLOB_CODE, job)
      if (plan.environments.includes(hash)) return this.#blob(hash, BLOB_ENVIRONMENT, job)
    }
  }
}
