// Assignments to live objects inside the sandbox (`vm.name = 'web1'`): one patch for what one run of synchronous
// code assigns to an object, before any later call on it. An element ends when its patches have; a failure that
// no call of it was told fails the element. The shell's are rmo/assignments.ts.
//
// An assignment belongs to the element of its handle, or the one that runs; where neither is known (a captured
// handle, after an await), to the next element to end.

import type { ReferenceRecord } from '../../contract.ts'
import { hostCall } from './host-calls.ts'
import { mapClear, mapDelete, mapForEach, mapGet, mapSet, promiseThen, PromiseConstructor } from './primordials.ts'

type Values = Record<string, unknown>
/** Told once: whether the object has the value. */
export type AssignmentEnded = (done: boolean) => void
interface Patch { readonly record: ReferenceRecord; readonly values: Values; readonly ended: AssignmentEnded[]; readonly element: number }
interface Line { next: Patch | undefined; sent: number; tail: Promise<void>; untold: { readonly error: unknown; readonly element: number }[] }

const lines = new Map<string, Line>()
/** Lines there are, and objects still being found: 0 is the path of every ordinary call. */
let count = 0
let finding: { readonly element: number; readonly found: Promise<void> }[] = []

const keyOf = (record: ReferenceRecord): string => `${record.kind}/${record.uuid}`
const resolved = (): Promise<void> => PromiseConstructor.resolve()

export const anyAssignments = (): boolean => count > 0

/** Puts a value into the patch of this run of synchronous code. */
export function assign(record: ReferenceRecord, name: string, value: unknown, element: number, ended: AssignmentEnded): void {
  const key = keyOf(record)
  let line = mapGet(lines, key)
  if (line === undefined) {
    line = { next: undefined, sent: 0, tail: resolved(), untold: [] }
    mapSet(lines, key, line)
    count++
  }
  const known = line
  if (known.next === undefined) {
    known.next = { record, values: {}, ended: [], element }
    promiseThen(resolved(), () => send(key, known), () => {})
  }
  known.next.values[name] = value
  known.next.ended[known.next.ended.length] = ended
}

/** As `assign`, for an object that is still being found; `find` rejects with why there is none. Answers how to say that a call was told so. */
export function assignLater(find: Promise<ReferenceRecord>, name: string, value: unknown, element: number, ended: AssignmentEnded): () => void {
  const entry = { element, found: resolved() }
  const drop = (): void => {
    const at = finding.indexOf(entry)
    if (at < 0) return
    finding.splice(at, 1)
    count--
  }
  entry.found = (async () => {
    try {
      assign(await find, name, value, element, ended)
      drop()
    } catch (error) {
      ended(false)
      throw error
    }
  })()
  // A failure stays until a call is told, or the element ends.
  promiseThen(entry.found, () => {}, () => {})
  finding[finding.length] = entry
  count++
  return drop
}

/** Undefined: nothing is outstanding for the object. Else resolves when nothing is; rejects once with a failure nobody was told of. */
export function before(record: ReferenceRecord): Promise<void> | undefined {
  if (count === 0) return undefined
  const key = keyOf(record)
  const line = mapGet(lines, key)
  return line === undefined ? undefined : told(key, line, undefined)
}

/** The same for all that belongs to an element or to none. */
export function endOf(element: number): Promise<void> | undefined {
  if (count === 0) return undefined
  return (async () => {
    for (let i = 0; i < finding.length; i++) {
      const entry = finding[i] as typeof finding[number]
      if (entry.element !== element && entry.element !== -1) continue
      try {
        await entry.found
      } finally {
        const at = finding.indexOf(entry)
        if (at >= 0) { finding.splice(at, 1); count-- }
      }
      i = -1
    }
    const mine: [string, Line][] = []
    mapForEach(lines, (line, key) => { mine[mine.length] = [key, line] })
    for (let i = 0; i < mine.length; i++) {
      const [key, line] = mine[i] as [string, Line]
      await told(key, line, element)
    }
  })()
}

async function told(key: string, line: Line, element: number | undefined): Promise<void> {
  send(key, line)
  await line.tail
  for (let i = 0; i < line.untold.length; i++) {
    const failed = line.untold[i] as Line['untold'][number]
    if (element !== undefined && failed.element !== element && failed.element !== -1) continue
    line.untold.splice(i, 1)
    dropLine(key, line)
    throw failed.error
  }
  dropLine(key, line)
}

function send(key: string, line: Line): void {
  const patch = line.next
  if (patch === undefined) return
  line.next = undefined
  line.sent++
  const { tail } = line
  line.tail = (async () => {
    await tail
    let done = true
    try {
      await hostCall(patch.record, 'patch', [patch.values], patch.element)
    } catch (error) {
      done = false
      line.untold[line.untold.length] = { error, element: patch.element }
    }
    for (let i = 0; i < patch.ended.length; i++) (patch.ended[i] as AssignmentEnded)(done)
    line.sent--
    dropLine(key, line)
  })()
}

function dropLine(key: string, line: Line): void {
  if (line.next !== undefined || line.sent > 0 || line.untold.length > 0 || mapGet(lines, key) !== line) return
  mapDelete(lines, key)
  count--
}

/** The job is over. */
export function forgetAssignments(): void {
  if (count === 0) return
  mapClear(lines)
  finding = []
  count = 0
}
