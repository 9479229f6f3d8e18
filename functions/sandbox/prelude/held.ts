// What stands behind a handle whose attributes can change: a cold object, which is its settings, or a live one
// with assignments under way. The shell's are rmo/held.ts; they behave the same.

import { REFERENCE, type ColdVerb, type KindShape, type ReferenceRecord } from '../../contract.ts'
import { assign, before, anyAssignments } from './assignments.ts'
import { SandboxError } from './error-capture.ts'
import { hostCall } from './host-calls.ts'
import { job } from './host.ts'
import { ArrayIsArray, JSONStringify, ObjectDefineProperty, ObjectFreeze, ObjectKeys, weakMapGet, weakMapSet } from './primordials.ts'

type Values = Record<string, unknown>
export interface Held {
  record: ReferenceRecord
  assigned: Values
  element: number
  /** Of a live handle: the attributes that it shows, kept equal to `read`. Nobody else holds it. */
  readonly shown?: object
}

const helds = new WeakMap<object, Held>()
export const hold = (handle: object, held: Held): void => { weakMapSet(helds, handle, held) }
export const heldOf = (value: unknown): Held | undefined => (typeof value === 'object' && value !== null ? weakMapGet(helds, value) : undefined)

const withValues = (record: ReferenceRecord, values: Values): ReferenceRecord =>
  ObjectFreeze({ ...record, name: typeof values['name'] === 'string' ? values['name'] : record.name, attributes: ObjectFreeze({ ...record.attributes, ...values }) })

/** The record as of now, assignments included. */
export const recordNow = (held: Held): ReferenceRecord => (ObjectKeys(held.assigned).length === 0 ? held.record : withValues(held.record, held.assigned))

export function read(held: Held, attribute: string): unknown {
  if (attribute in held.assigned) return held.assigned[attribute]
  if (attribute === 'name') return held.record.name
  if (held.record.cold === true && attribute === 'state') return 'cold'
  return held.record.attributes[attribute]
}

function show(held: Held, attribute: string): void {
  // No field of the descriptor is inherited: what user code puts on Object.prototype is none.
  if (held.shown !== undefined) ObjectDefineProperty(held.shown, attribute, { __proto__: null, value: read(held, attribute), writable: true, enumerable: true, configurable: true } as PropertyDescriptor)
}

export function listed(names: readonly string[]): string {
  let text = ''
  for (let i = 0; i < names.length; i++) text += (i === 0 ? '' : ', ') + (names[i] as string)
  return names.length === 0 ? 'none' : text
}

const has = (names: readonly string[] | undefined, name: string): boolean => {
  for (let i = 0; names !== undefined && i < names.length; i++) if (names[i] === name) return true
  return false
}

/** Throws unless the kind lets `property` be assigned. */
export function checkSettable(shape: KindShape, name: string, property: string): void {
  if (has(shape.settable, property)) return
  throw new SandboxError('RMO_ERR_READ_ONLY', `${property} of ${shape.kind} ${name} cannot be set. Settable: ${listed(shape.settable ?? [])}.`)
}

export function assignHeld(held: Held, shape: KindShape, attribute: string, value: unknown): void {
  checkSettable(shape, held.record.name, attribute)
  if (held.record.cold === true) {
    held.record = withValues(held.record, { [attribute]: value })
    return
  }
  held.assigned = { ...held.assigned, [attribute]: value }
  show(held, attribute)
  assign(held.record, attribute, value, held.element >= 0 ? held.element : job.element, (done) => {
    if (done) held.record = withValues(held.record, { [attribute]: value })
    if (held.assigned[attribute] === value) {
      const { [attribute]: _ended, ...rest } = held.assigned
      held.assigned = rest
    }
    show(held, attribute)
  })
}

const same = (a: unknown, b: unknown): boolean => a === b || (typeof a === 'object' && typeof b === 'object' && JSONStringify(a) === JSONStringify(b))

function without(items: readonly unknown[], pattern: unknown, call: string): unknown[] {
  const rest: unknown[] = []
  const keys = ObjectKeys(pattern as object)
  for (let i = 0; i < items.length; i++) {
    let fits = keys.length > 0
    for (let k = 0; k < keys.length && fits; k++) fits = same((items[i] as Values)[keys[k] as string], (pattern as Values)[keys[k] as string])
    if (!fits) rest[rest.length] = items[i]
  }
  if (rest.length === items.length) throw new SandboxError('RMO_ERR_ARGUMENT_INVALID', `${call}: the argument must be some fields of one that it has, got ${JSONStringify(pattern) as string}.`)
  return rest
}

/** A verb of a cold object that changes its settings, here. A mistake is thrown at once. */
function change(held: Held, verb: string, { setting, how }: ColdVerb, value: unknown): Promise<unknown> {
  const call = `${held.record.kind}.${verb}`
  if (typeof value !== 'object' || value === null) throw new SandboxError('RMO_ERR_ARGUMENT_INVALID', `${call}: ${setting} must be an object, got ${typeof value}.`)
  const present = held.record.attributes[setting]
  const items: readonly unknown[] = ArrayIsArray(present) ? present : []
  held.record = withValues(held.record, { [setting]: how === 'set' ? value : how === 'append' ? [...items, value] : without(items, value, call) })
  return coldChange()
}

/** What a change of a cold object answers: it has no version, for nobody else can change it. */
async function coldChange(): Promise<unknown> { return { version: 'cold', operation: '' } }

/** One verb of an object: here when it is cold, else a host call, in its order. `element` is -1 when it is not known. */
export function invoke(record: ReferenceRecord, held: Held | undefined, shape: KindShape | undefined, verb: string, args: readonly unknown[], element: number): Promise<unknown> {
  if (record.cold === true) {
    const cold = shape?.coldVerbs?.[verb]
    if (cold !== undefined && held !== undefined) return change(held, verb, cold, args[0])
    return refuseCold(record, verb)
  }
  let simple = !anyAssignments()
  for (let i = 0; simple && i < args.length; i++) simple = typeof args[i] !== 'object' || args[i] === null || (heldOf(args[i]) === undefined && typeof (args[i] as { then?: unknown }).then !== 'function')
  return simple ? hostCall(record, verb, args, element) : ordered(record, verb, take(args), element >= 0 ? element : job.element)
}

async function refuseCold({ kind, name }: ReferenceRecord, verb: string): Promise<never> {
  throw new SandboxError('RMO_ERR_COLD', `${kind} ${name} is cold: it exists only here, so ${verb} has nothing to work on. Add it first: await pm.vmm.add(it).`)
}

interface Taken { value: unknown; draft: Held | undefined; sent: ReferenceRecord | undefined }

/** A cold object as it is at the call: what it becomes later is not meant. */
function takeOne(value: unknown): Taken {
  const held = heldOf(value)
  return held?.record.cold === true ? { value: { [REFERENCE]: held.record }, draft: held, sent: held.record } : { value, draft: undefined, sent: undefined }
}

export function take(args: readonly unknown[]): Taken[] {
  const taken: Taken[] = []
  for (let i = 0; i < args.length; i++) taken[i] = takeOne(args[i])
  return taken
}

/** A host call behind what was assigned to its object and to those it was given; cold ones become what it answers. */
export async function ordered(record: ReferenceRecord, verb: string, given: Taken[], element: number): Promise<unknown> {
  const args: unknown[] = []
  for (let i = 0; i < given.length; i++) {
    const one = given[i] as Taken
    if (one.draft === undefined) given[i] = takeOne(await one.value)
    args[i] = (given[i] as Taken).value
  }
  await before(record)
  for (let i = 0; i < args.length; i++) {
    const named = (args[i] as { readonly [REFERENCE]?: ReferenceRecord } | undefined | null)?.[REFERENCE]
    if (named !== undefined) await before(named)
  }
  const answer = await hostCall(record, verb, args, element)
  const answers: readonly unknown[] = ArrayIsArray(answer) ? answer : [answer]
  for (let i = 0; i < given.length; i++) {
    const { draft, sent } = given[i] as Taken
    if (draft === undefined || sent === undefined) continue
    for (let a = 0; a < answers.length; a++) becomeLive(draft, sent, (answers[a] as { readonly [REFERENCE]?: ReferenceRecord } | undefined | null)?.[REFERENCE])
  }
  return answer
}

function becomeLive(draft: Held, sent: ReferenceRecord, live: ReferenceRecord | undefined): void {
  const settings = draft.record
  if (settings.cold !== true || live === undefined || live.cold === true || live.kind !== settings.kind || live.uuid !== settings.uuid) return
  draft.record = live
  // What was assigned while the call was under way follows as a patch.
  const shape = shapeOfKind(live.kind)
  for (let i = 0; i < (shape?.settable?.length ?? 0); i++) {
    const name = shape?.settable?.[i] as string
    if (settings.attributes[name] !== sent.attributes[name]) assignHeld(draft, shape as KindShape, name, settings.attributes[name])
  }
}

let shapeOfKind: (kind: string) => KindShape | undefined = () => undefined
/** handles.ts keeps the shapes. */
export function useShapes(of: typeof shapeOfKind): void { shapeOfKind = of }
