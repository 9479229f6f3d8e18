// References decoded once and handed out again while nothing about them changed: a policy that looks at a thousand
// VMs every five seconds of virtual time would otherwise decode them all each time (22 us a VM, measured). Only the
// sandbox of simulations (../virtual.ts) asks for it; it says by number what is unchanged, and sends what is not.
//
// A handle shows data that cannot be changed from here, but for assignments, after which the kernel's side forgets all
// numbers, and for what lies inside its attributes (labels, devices): of that every answer has a copy of its own.

import { heldOf } from './held.ts'
import { assignElement } from './handles.ts'
import { ArrayIsArray, mapGet, mapSet, ObjectKeys } from './primordials.ts'
import { decodeAnswer } from './value.ts'

interface Nested { readonly shown: Record<string, unknown>; readonly name: string; readonly original: unknown }
/** `element`: whose the handles are. */
interface KeptItems { readonly items: unknown[]; readonly nested: readonly Nested[]; element: number }

/** By number. */
const kept = new Map<number, KeptItems>()

const isNested = (value: unknown): value is object => typeof value === 'object' && value !== null

/** Of plain data. */
function copyOf(value: unknown): unknown {
  if (!isNested(value)) return value
  if (ArrayIsArray(value)) {
    const copy: unknown[] = []
    for (let i = 0; i < value.length; i++) copy[i] = copyOf(value[i])
    return copy
  }
  const copy: Record<string, unknown> = {}
  const names = ObjectKeys(value)
  for (let i = 0; i < names.length; i++) copy[names[i] as string] = copyOf((value as Record<string, unknown>)[names[i] as string])
  return copy
}

/** Most lists are empty, and nobody has put anything into them: no copy is needed. */
function isStillEmpty(value: unknown, original: unknown): boolean {
  if (!isNested(value)) return false
  return ArrayIsArray(original) ? original.length === 0 && ArrayIsArray(value) && value.length === 0 : ObjectKeys(original as object).length === 0 && ObjectKeys(value).length === 0
}

/** What lies inside the attributes of these handles, before user code sees it. */
function nestedIn(items: readonly unknown[]): Nested[] {
  const nested: Nested[] = []
  for (let i = 0; i < items.length; i++) {
    const shown = heldOf(items[i])?.shown as Record<string, unknown> | undefined
    if (shown === undefined) continue
    const names = ObjectKeys(shown)
    for (let n = 0; n < names.length; n++) {
      const name = names[n] as string
      if (isNested(shown[name])) nested[nested.length] = { shown, name, original: copyOf(shown[name]) }
    }
  }
  return nested
}

/** `bytes`: an array of one reference. */
export function keep(slot: number, bytes: Uint8Array): void { mapSet(kept, slot, { items: decodeAnswer(bytes, -1) as unknown[], nested: [], element: -1 }) }

/** The references whose numbers are in `slots`, as the elements of a job. */
export function keptItems(slots: Uint8Array): unknown[] {
  const items: unknown[] = []
  for (let at = 0; at + 4 <= slots.length; at += 4) {
    const slot = (slots[at] as number) | ((slots[at + 1] as number) << 8) | ((slots[at + 2] as number) << 16) | ((slots[at + 3] as number) << 24)
    const one = mapGet(kept, slot) as KeptItems
    const item = one.items[0]
    if (one.element !== items.length) assignElement(item, items.length)
    one.element = items.length
    items[items.length] = item
  }
  return items
}

/** The answer with that number: decoded now when there are bytes, else as it was. */
export function keptAnswer(slot: number, bytes: Uint8Array | undefined, element: number): unknown {
  if (bytes !== undefined) {
    const items = decodeAnswer(bytes, element) as unknown[]
    mapSet(kept, slot, { items, nested: nestedIn(items), element })
    return listOf(items)
  }
  const answer = mapGet(kept, slot) as KeptItems
  const { items, nested } = answer
  if (answer.element !== element) for (let i = 0; i < items.length; i++) assignElement(items[i], element)
  answer.element = element
  for (let i = 0; i < nested.length; i++) {
    const { shown, name, original } = nested[i] as Nested
    if (!isStillEmpty(shown[name], original)) shown[name] = copyOf(original)
  }
  return listOf(items)
}

function listOf(items: readonly unknown[]): unknown[] {
  const list: unknown[] = []
  for (let i = 0; i < items.length; i++) list[i] = items[i]
  return list
}
