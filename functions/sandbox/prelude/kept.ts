// References decoded once and handed out again while nothing about them changed: a policy that looks at a thousand
// VMs every five seconds of virtual time would otherwise decode them all each time (22 us a VM, measured). Only the
// sandbox of simulations (../virtual.ts) asks for it; it says by number what is unchanged, and sends what is not, of figures
// that have moved on only those.
//
// A handle shows data that cannot be changed from here, but for assignments, after which the kernel's side forgets all
// numbers, and for what lies inside its attributes (labels, devices): of that every answer has a copy of its own.

import { heldOf, type Held } from './held.ts'
import { assignElement, makeHandle } from './handles.ts'
import { ArrayIsArray, mapGet, mapSet, ObjectDefineProperty, ObjectKeys, weakMapGet, weakMapSet } from './primordials.ts'
import { decodeAnswer } from './value.ts'

/** `element`: whose the handles are. `touched`: of these handles somebody has seen what lies inside. */
interface KeptItems { readonly items: unknown[]; readonly touched: Nested[]; element: number }
/** What lies inside the attributes of one handle. */
interface Nested { readonly of: KeptItems; readonly values: Record<string, unknown>; readonly originals: Record<string, unknown>; touched: boolean }

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

const nesteds = new WeakMap<object, Nested>()
/** By attribute: shared, so that the handles of a kind keep one shape. */
const getters = new Map<string, PropertyDescriptor>()

/** Shows what lies inside an attribute, and notes that it may be changed from now on: most functions never look. */
function getterOf(name: string): PropertyDescriptor {
  const present = mapGet(getters, name)
  if (present !== undefined) return present
  const getter = {
    __proto__: null, enumerable: true, configurable: true,
    get(this: object) {
      const nested = weakMapGet(nesteds, this)
      if (nested === undefined) return undefined
      if (!nested.touched) {
        nested.touched = true
        nested.of.touched[nested.of.touched.length] = nested
        const names = ObjectKeys(nested.values)
        for (let i = 0; i < names.length; i++) nested.originals[names[i] as string] = copyOf(nested.values[names[i] as string])
      }
      return nested.values[name]
    },
  } as unknown as PropertyDescriptor
  mapSet(getters, name, getter)
  return getter
}

/** Before user code sees the handles. */
function guardNested(of: KeptItems): KeptItems {
  for (let i = 0; i < of.items.length; i++) {
    const handle = of.items[i]
    const shown = heldOf(handle)?.shown as Record<string, unknown> | undefined
    if (shown === undefined) continue
    const values = { __proto__: null } as unknown as Record<string, unknown>
    const names = ObjectKeys(shown)
    for (let n = 0; n < names.length; n++) {
      const name = names[n] as string
      if (!isNested(shown[name])) continue
      values[name] = shown[name]
      ObjectDefineProperty(shown, name, getterOf(name))
    }
    weakMapSet(nesteds, handle as object, { of, values, originals: { __proto__: null } as unknown as Record<string, unknown>, touched: false })
  }
  return of
}

/** `bytes`: an array of one reference. */
export function keep(slot: number, bytes: Uint8Array): void { mapSet(kept, slot, { items: decodeAnswer(bytes, -1) as unknown[], touched: [], element: -1 }) }

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

/** The answer with that number: decoded now when there are bytes, else as it was. A negative one: the bytes are what has changed. */
export function keptAnswer(slot: number, bytes: Uint8Array | undefined, element: number): unknown {
  if (bytes !== undefined && slot < 0) return keptChanges(-slot, bytes, element)
  if (bytes !== undefined) {
    const items = decodeAnswer(bytes, element) as unknown[]
    mapSet(kept, slot, guardNested({ items, touched: [], element }))
    return listOf(items)
  }
  const answer = mapGet(kept, slot) as KeptItems
  const { items, touched } = answer
  if (answer.element !== element) for (let i = 0; i < items.length; i++) assignElement(items[i], element)
  answer.element = element
  // A look inside marks the handle again.
  for (; touched.length > 0; touched.length--) {
    const nested = touched[touched.length - 1] as Nested
    const names = ObjectKeys(nested.values)
    for (let i = 0; i < names.length; i++) nested.values[names[i] as string] = nested.originals[names[i] as string]
    nested.touched = false
  }
  return listOf(items)
}

/** `bytes`: of each item in turn, the attributes that are other than before; none of them holds anything nested. */
function keptChanges(slot: number, bytes: Uint8Array, element: number): unknown[] {
  const before = mapGet(kept, slot) as KeptItems
  const changes = decodeAnswer(bytes, element) as Record<string, unknown>[]
  const items: unknown[] = []
  for (let i = 0; i < before.items.length; i++) {
    const { record } = heldOf(before.items[i]) as Held
    const nested = weakMapGet(nesteds, before.items[i] as object) as Nested
    const attributes: Record<string, unknown> = { ...record.attributes, ...changes[i] }
    const names = ObjectKeys(nested.values)
    for (let n = 0; n < names.length; n++) {
      const name = names[n] as string
      attributes[name] = copyOf((nested.touched ? nested.originals : nested.values)[name])
    }
    items[i] = makeHandle({ ...record, attributes }, element)
  }
  mapSet(kept, slot, guardNested({ items, touched: [], element }))
  return listOf(items)
}

function listOf(items: readonly unknown[]): unknown[] {
  const list: unknown[] = []
  for (let i = 0; i < items.length; i++) list[i] = items[i]
  return list
}
