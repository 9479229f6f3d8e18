// Assignments to live objects: `vm.name = 'web1'` as a patch that later calls on the object wait for.
//
//   assign(..) assign(..) --end of this turn, or the next call--> one patch({...}) --> one after the other per object
//   before(object)        --> resolves when none is outstanding; rejects once with a failure nobody was told of
//
// A turn is one run of synchronous code (until the next await). Lines are kept by identity (kind, uuid), so every
// reference to the object is ordered behind them, and only while something is outstanding or untold.

import { LIMITS } from '../fabric/base.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import { callHome } from './call.ts'
import { RMO } from './errors.ts'
import type { Session } from './session.ts'

type Values = Record<string, unknown>
/** Told of each assignment once: `failed` undefined when the object has the value. */
export type AssignmentEnded = (failed: unknown) => void
interface Patch { readonly record: ReferenceRecord; readonly values: Values; readonly ended: AssignmentEnded[] }
/** The patches of one object, in order. */
interface Line { next: Patch | undefined; sent: number; tail: Promise<void>; readonly untold: unknown[] }

const keyOf = ({ kind, uuid }: Pick<ReferenceRecord, 'kind' | 'uuid'>): string => `${kind}/${uuid}`

export class Assignments {
  readonly #lines = new Map<string, Line>()
  /** Assignments to pipelined references whose object is still being found. */
  readonly #finding = new Set<Promise<void>>()
  /** Failures of those: there is no object whose next call could tell them. */
  readonly #unfound = new Set<unknown>()
  readonly #told = new WeakSet<object>()
  readonly #patch: (record: ReferenceRecord, change: Values) => Promise<unknown>

  constructor(patch: (record: ReferenceRecord, change: Values) => Promise<unknown>) { this.#patch = patch }

  /** Puts a value into this turn's patch of the object. Throws RMO_ERR_BUSY when too many objects are being changed. */
  assign(record: ReferenceRecord, attribute: string, value: unknown, ended: AssignmentEnded): void {
    const key = keyOf(record)
    const line = this.#lines.get(key) ?? this.#open(key)
    if (line.next === undefined) {
      line.next = { record, values: {}, ended: [] }
      queueMicrotask(() => this.#send(key, line))
    }
    line.next.values[attribute] = value
    line.next.ended.push(ended)
  }

  /** Assignments through a reference whose object is being found: `find` rejects with why there is none. */
  assignLater(find: Promise<ReferenceRecord>, attribute: string, value: unknown, ended: AssignmentEnded): void {
    const finding = find.then((record) => this.assign(record, attribute, value, ended)).catch((error: unknown) => {
      ended(error)
      if (typeof error === 'object' && error !== null && this.#told.has(error)) return
      this.#unfound.add(error)
      const oldest = this.#unfound.values().next().value
      if (this.#unfound.size > LIMITS.untoldFailuresMax) this.#unfound.delete(oldest)
    }).finally(() => { this.#finding.delete(finding) })
    this.#finding.add(finding)
  }

  /** Undefined: nothing is outstanding. Else resolves when nothing is; rejects with the oldest failure nobody was told of. */
  before(record: ReferenceRecord): Promise<void> | undefined {
    const key = keyOf(record)
    const line = this.#lines.get(key)
    if (line === undefined) return undefined
    this.#send(key, line)
    return line.tail.then(() => {
      const failed = line.untold.length > 0
      const error = line.untold.shift()
      this.#drop(key, line)
      if (failed) throw error
    })
  }

  /** A failure to find the object has been, or is about to be, told to a call. */
  told(error: unknown): void {
    this.#unfound.delete(error)
    if (typeof error === 'object' && error !== null) this.#told.add(error)
  }

  /** When nothing is outstanding any more: the failures that nobody was told of, which are told hereby. */
  async settled(): Promise<readonly unknown[]> {
    for (;;) {
      for (const [key, line] of this.#lines) this.#send(key, line)
      const outstanding = [...this.#finding, ...[...this.#lines.values()].filter(({ sent }) => sent > 0).map(({ tail }) => tail)]
      if (outstanding.length === 0) break
      await Promise.all(outstanding)
    }
    const untold = [...this.#unfound, ...[...this.#lines.values()].flatMap((line) => line.untold)]
    this.#unfound.clear()
    this.#lines.clear()
    return untold
  }

  #open(key: string): Line {
    if (this.#lines.size >= LIMITS.assignedObjectsMax) {
      const idle = [...this.#lines].find(([, { next, sent }]) => next === undefined && sent === 0)?.[0]
      if (idle === undefined) throw RMO.BUSY({ what: 'changes of different objects', machine: 'this program', limit: LIMITS.assignedObjectsMax })
      this.#lines.delete(idle)
    }
    const line: Line = { next: undefined, sent: 0, tail: Promise.resolve(), untold: [] }
    this.#lines.set(key, line)
    return line
  }

  #send(key: string, line: Line): void {
    const patch = line.next
    if (patch === undefined) return
    line.next = undefined
    line.sent++
    line.tail = line.tail.then(async () => {
      try {
        await this.#patch(patch.record, patch.values)
        for (const ended of patch.ended) ended(undefined)
      } catch (error) {
        line.untold.push(error)
        for (const ended of patch.ended) ended(error)
      }
      line.sent--
      this.#drop(key, line)
    })
  }

  #drop(key: string, line: Line): void {
    if (line.next === undefined && line.sent === 0 && line.untold.length === 0 && this.#lines.get(key) === line) this.#lines.delete(key)
  }
}

const assignments = new WeakMap<Session, Assignments>()

/** The assignments made through references of a session. */
export function assignmentsOf(session: Session): Assignments {
  const present = assignments.get(session)
  if (present !== undefined) return present
  const made = new Assignments((record, change) => callHome(session, record, 'patch', [change]))
  assignments.set(session, made)
  return made
}
