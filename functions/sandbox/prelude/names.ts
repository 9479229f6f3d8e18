// What the shell's own functions become inside a shipped function: globalThis.dc, reached by the names under
// which they were captured (functions/contract.ts, COUNTERPART). No I/O.

import type { ReferenceRecord } from '../../contract.ts'
import { lazyCollection } from './collection.ts'
import { SandboxError } from './error-capture.ts'
import { makeHandle, shapeOf } from './handles.ts'
import { CallSignal } from './signal.ts'
import { standingFor, toolsFor } from './tools.ts'
import { cloneValue } from './value.ts'
import { job } from './host.ts'
import { ArrayIsArray, MathFloor, nativeRandom, NumberIsFinite, numberToString, ObjectFreeze, stringSlice } from './primordials.ts'

const rangeFor = (element: number) => (a: number, b?: number, step = 1): object => {
  const from = b === undefined ? 0 : a
  const to = b ?? a
  if (!NumberIsFinite(from) || !NumberIsFinite(to) || !NumberIsFinite(step) || step === 0) throw new SandboxError('FUNCTIONS_ERR_BAD_RANGE', 'range needs finite numbers and a step other than 0')
  return lazyCollection(async () => {
    const numbers: number[] = []
    for (let i = 0, n = from; step > 0 ? n < to : n > to; n = from + ++i * step) numbers[i] = n
    return numbers
  }, undefined, element, 'keep', { type: 'range', from, to, step })
}

const fromFor = (element: number) => (items: Iterable<unknown> | AsyncIterable<unknown>): object =>
  lazyCollection(async () => {
    const taken: unknown[] = []
    for await (const item of items) taken[taken.length] = item
    return taken
  }, undefined, element)

/** Version 4, of the isolate's own random numbers. */
function newUuid(): string {
  let hex = ''
  for (let i = 0; i < 8; i++) hex += stringSlice(numberToString(0x1_0000 + MathFloor(nativeRandom() * 0x1_0000), 16), 1)
  return `${stringSlice(hex, 0, 8)}-${stringSlice(hex, 8, 12)}-4${stringSlice(hex, 13, 16)}-a${stringSlice(hex, 17, 20)}-${stringSlice(hex, 20)}`
}

interface Dump { readonly kind: string; readonly uuid: string; readonly name: string; readonly settings: Readonly<Record<string, unknown>> }

function withoutIdentity({ instanceId: _instance, devices, ...settings }: Readonly<Record<string, unknown>>): Record<string, unknown> {
  if (!ArrayIsArray(devices)) return settings
  const anonymous: unknown[] = []
  for (let i = 0; i < devices.length; i++) {
    const { mac: _mac, ...rest } = devices[i] as Record<string, unknown>
    anonymous[i] = rest['type'] === 'interface' ? rest : devices[i]
  }
  return { ...settings, devices: anonymous }
}

function load(dump: Dump, options: { readonly fresh?: boolean } = {}): object {
  const shape = typeof dump === 'object' && dump !== null ? shapeOf(dump.kind) : undefined
  if (shape?.coldVerbs === undefined || typeof dump.uuid !== 'string' || typeof dump.settings !== 'object' || dump.settings === null) {
    throw new SandboxError('RMO_ERR_ARGUMENT_INVALID', 'load: dump must be what dump() answered of an object whose kind can be made anew.')
  }
  const settings = cloneValue(options.fresh === true ? withoutIdentity(dump.settings) : dump.settings) as Record<string, unknown>
  const name = settings['name']
  const record: ReferenceRecord = { kind: dump.kind, uuid: options.fresh === true ? newUuid() : dump.uuid, home: '', name: typeof name === 'string' ? name : dump.name, attributes: settings, cold: true }
  return makeHandle(record, job.element)
}

standingFor('load', load)

/** For the calls of one element; -1: of whichever is running. */
export const namesFor = (element: number): Readonly<Record<string, unknown>> => ({
  range: standingFor('range', rangeFor(element)), from: standingFor('from', fromFor(element)), load, ...toolsFor(element),
})

export const names = ObjectFreeze({ ...namesFor(-1), signal: new CallSignal(undefined) })
/** Where `names` stands: the first part of each COUNTERPART. */
export const NAMES_GLOBAL = 'dc'
