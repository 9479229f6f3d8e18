// What waits to be carried out, as one node sees it: an index of the store's asynchronous calls, without their payloads. Says
// which to reach for now, function by function in turn, and when to look again. Pure: events, clock and ranks come in.
// It may be behind the store: whoever reaches for a call finds out by the transaction (async-calls.ts), and tells.
//
// Times in records are wall clock, which may be set back: a wait is never longer than the pause that the record names,
// measured on this node's own clock from when it saw the record.

import { DueHeap } from '../../fabric/base.ts'
import type { Due } from '../../fabric/base.ts'

export interface WaitingCall {
  readonly name: string
  readonly id: string
  readonly modRevision: number
  /** Wall clock of the next attempt; the pause that it stands for. */
  readonly nextAtMs: number
  readonly pauseMs: number
  /** Of its record. */
  readonly bytes: number
}

interface Item { call: WaitingCall; stamp: number; claimed: boolean; claimGone: number; trying: boolean; dueMs: number }
interface Turn extends Due { readonly item: Item; readonly stamp: number }
interface Line { readonly items: Map<string, Item>; readonly heap: DueHeap<Turn>; bytes: number }

export interface QueueOptions {
  /** Pause before this node reaches for the call: nodes do so one after the other. */
  lagMs(id: string): number
}

export class CallQueue {
  readonly #options: QueueOptions
  readonly #lines = new Map<string, Line>()
  /** Claims that were seen before their calls. */
  #order = 0
  /** Name after which the next turn begins. */
  #last = ''

  constructor(options: QueueOptions) { this.#options = options }

  count(name: string): number { return this.#lines.get(name)?.items.size ?? 0 }
  bytes(name: string): number { return this.#lines.get(name)?.bytes ?? 0 }
  get size(): number { let size = 0; for (const { items } of this.#lines.values()) size += items.size; return size }

  #item(name: string, id: string): Item | undefined { return this.#lines.get(name)?.items.get(id) }

  /** A call was put, or changed. */
  put(call: WaitingCall, nowMs: number, wallMs: number): void {
    let line = this.#lines.get(call.name)
    if (line === undefined) this.#lines.set(call.name, line = { items: new Map(), heap: new DueHeap(), bytes: 0 })
    let item = line.items.get(call.id)
    if (item !== undefined && item.call.modRevision >= call.modRevision) return
    line.bytes += call.bytes - (item?.call.bytes ?? 0)
    if (item === undefined) line.items.set(call.id, item = { call, stamp: 0, claimed: false, claimGone: 0, trying: false, dueMs: 0 })
    item.call = call
    item.dueMs = nowMs + Math.max(0, Math.min(call.nextAtMs - wallMs, call.pauseMs)) + this.#options.lagMs(call.id)
    this.#push(line, item)
  }

  #push(line: Line, item: Item): void {
    line.heap.push({ item, stamp: ++item.stamp, dueMs: item.dueMs, order: this.#order++ })
  }

  gone(name: string, id: string): void {
    const line = this.#lines.get(name)
    if (line === undefined) return
    const item = line.items.get(id)
    if (item !== undefined) {
      item.stamp++
      line.bytes -= item.call.bytes
    }
    line.items.delete(id)
    if (line.items.size === 0) this.#lines.delete(name)
  }

  /** Somebody carries it out, by a claim of this revision. */
  claimed(name: string, id: string, revision: number): void {
    const item = this.#item(name, id)
    if (item !== undefined && revision > item.claimGone) item.claimed = true
  }

  /** The claim has ended, or its holder's lease: whoever is next may reach for it. */
  released(name: string, id: string, revision: number, nowMs: number): void {
    const line = this.#lines.get(name)
    const item = line?.items.get(id)
    if (line === undefined || item === undefined || revision <= item.claimGone) return
    item.claimGone = revision
    item.claimed = false
    item.dueMs = Math.max(item.dueMs, nowMs + this.#options.lagMs(id))
    this.#push(line, item)
  }

  /** Up to `room` calls to reach for now; each is this node's until settled(). `eligible`: neither paused nor unknown. */
  take(nowMs: number, room: number, eligible: (name: string) => boolean): WaitingCall[] {
    const names = [...this.#lines.keys()].toSorted()
    const from = names.findIndex((name) => name > this.#last)
    const turns = [...names.slice(Math.max(0, from)), ...(from <= 0 ? [] : names.slice(0, from))].filter(eligible)
    const taken: WaitingCall[] = []
    for (let any = true; any && taken.length < room;) {
      any = false
      for (const name of turns) {
        if (taken.length >= room) break
        const item = this.#due(name, nowMs)
        if (item === undefined) continue
        item.trying = true
        taken.push(item.call)
        this.#last = name
        any = true
      }
    }
    return taken
  }

  /** The next of a function that is due and free; its turn is used up. */
  #due(name: string, nowMs: number): Item | undefined {
    const line = this.#lines.get(name)
    if (line === undefined) return undefined
    for (let top = line.heap.top; top !== undefined && top.dueMs <= nowMs; top = line.heap.top) {
      line.heap.pop()
      if (top.stamp === top.item.stamp && !top.item.claimed && !top.item.trying) return top.item
    }
    return undefined
  }

  /** This node no longer tries for it, or has finished with it; `retryMs`: and looks again after that. */
  settled(name: string, id: string, nowMs: number, retryMs = 0): void {
    const line = this.#lines.get(name)
    const item = line?.items.get(id)
    if (line === undefined || item === undefined) return
    item.trying = false
    item.dueMs = Math.max(item.dueMs, nowMs + retryMs)
    this.#push(line, item)
  }

  /** Clock time of the next call that may be reached for; undefined: only an event can bring one. */
  nextDueMs(eligible: (name: string) => boolean): number | undefined {
    let next: number | undefined
    for (const [name, { heap }] of this.#lines) {
      if (!eligible(name)) continue
      for (let top = heap.top; top !== undefined; top = heap.top) {
        if (top.stamp === top.item.stamp && !top.item.claimed && !top.item.trying) {
          next = Math.min(next ?? Infinity, top.dueMs)
          break
        }
        heap.pop()
      }
    }
    return next
  }
}
