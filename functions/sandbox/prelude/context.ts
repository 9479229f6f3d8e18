// What run(context, payload) gets inside the sandbox; its types are functions/bundle/context.ts. Made anew for each call and bound
// to its element, so that with many calls side by side in one isolate each one's calls are its own, also after an await.

import { REFERENCE } from '../../contract.ts'
import type { Invocation } from '../../deployed.ts'
import { lazyCollection } from './collection.ts'
import { allShapes, assignElement } from './handles.ts'
import { hostCall } from './host-calls.ts'
import { job } from './host.ts'
import { namesFor } from './names.ts'
import { ArrayIsArray, ObjectFreeze, ObjectKeys } from './primordials.ts'
import { CallSignal } from './signal.ts'
import { standingFor } from './tools.ts'

/** Handles in the payload, at its top and one level down, are the call's own. */
function adopt(payload: unknown, element: number): void {
  if (typeof payload !== 'object' || payload === null) return
  assignElement(payload, element)
  if ((payload as { readonly [REFERENCE]?: unknown })[REFERENCE] !== undefined) return
  const parts: readonly unknown[] = ArrayIsArray(payload) ? payload : Object.values(payload)
  for (let i = 0; i < parts.length; i++) assignElement(parts[i], element)
}

/** Elements whose parts are kept: those of a chunk of calls (LIMITS.invokeBatchMax). */
const KEPT_ELEMENTS = 64
const kept: (Readonly<Record<string, unknown>> | undefined)[] = []

/** What is bound to an element's number and to nothing else of a call: made for its first call, it takes longer than a short function does. */
function partsFor(element: number): Readonly<Record<string, unknown>> {
  const known = element < KEPT_ELEMENTS ? kept[element] : undefined
  if (known !== undefined) return known
  const parts: Record<string, unknown> = { ...namesFor(element) }
  const shapes = allShapes()
  for (let i = 0; i < shapes.length; i++) {
    const { kind, plural } = shapes[i] as { readonly kind: string; readonly plural?: string }
    if (plural !== undefined) parts[plural] = lazyCollection(() => hostCall(undefined, `list:${kind}`, [], element) as Promise<unknown[]>, kind, element, 'anew', { type: 'kind', kind })
  }
  const keys = ObjectKeys(parts)
  for (let i = 0; i < keys.length; i++) ObjectFreeze(parts[keys[i] as string])
  if (element < KEPT_ELEMENTS) kept[element] = parts
  return parts
}

/** Called at the start of the element that the invocation is. */
export function contextOf({ call, payload }: Invocation): object {
  const { element } = job
  adopt(payload, element)
  let signal: CallSignal | undefined
  return ObjectFreeze({
    ...partsFor(element), call: ObjectFreeze(call),
    // A timer costs a message: only for who asks.
    get signal(): CallSignal { return signal ??= standingFor('signal', new CallSignal(call.deadlineMs)) },
  })
}
