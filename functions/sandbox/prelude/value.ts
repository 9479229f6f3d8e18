// The prelude's door to functions/value: the codec and the linker with this isolate's handles plugged in. The
// only file of the prelude that decodes or encodes user values.

import type { ReferenceRecord, SourceSpec } from '../../contract.ts'
import { decodeValue, encodeArray, encodeValue } from '../../value/codec.ts'
import { linkProgram, programPackages, type Linkable } from '../../value/link.ts'
import { evaluateBundle } from './bundle.ts'
import { lazyCollection } from './collection.ts'
import { SandboxError } from './error-capture.ts'
import { assignElement, makeHandle } from './handles.ts'
import { hostCall } from './host-calls.ts'
import { packageNamespace } from './packages.ts'

type AnyFunction = (...args: unknown[]) => unknown

function collection(spec: SourceSpec): object {
  switch (spec.type) {
    case 'kind': return lazyCollection(() => hostCall(undefined, `list:${spec.kind}`, [], -1) as Promise<unknown[]>, spec.kind, -1, 'anew', spec)
    case 'references': return lazyCollection(async () => spec.references.map((record) => makeHandle(record, -1)), spec.references[0]?.kind, -1, 'keep', spec)
    case 'range': return lazyCollection(async () => {
      const numbers: number[] = []
      for (let n = spec.from; spec.step > 0 ? n < spec.to : n > spec.to; n += spec.step) numbers.push(n)
      return numbers
    }, undefined, -1, 'keep', spec)
    case 'items': throw new SandboxError('FUNCTIONS_ERR_SANDBOX_LINK', 'A collection over items of the caller was captured; await it first and capture the array')
  }
}

const hooksFor = (element: number): { reference: (record: ReferenceRecord) => unknown; collection: (spec: SourceSpec) => unknown } =>
  ({ reference: (record) => makeHandle(record, element), collection })
const captured = hooksFor(-1)

/** `from` is the item of the run's element 0. */
export function decodeItems(bytes: Uint8Array, from: number): unknown[] {
  const items = decodeValue(bytes, captured) as unknown[]
  if (typeof items[0] === 'object') for (let i = from; i < items.length; i++) assignElement(items[i], i - from)
  return items
}

export const encodeOutputs = (values: readonly unknown[], sizeBytesMax: number): Uint8Array => encodeArray(values, { sizeBytesMax })
/** Most calls have none. */
const NO_ARGUMENTS = encodeArray([])
export const encodeArguments = (values: readonly unknown[], sizeBytesMax: number): Uint8Array => values.length === 0 ? NO_ARGUMENTS : encodeArray(values, { root: 'arguments', sizeBytesMax })
export const decodeAnswer = (bytes: Uint8Array, element: number): unknown => decodeValue(bytes, hooksFor(element))
export const decodeInitial = (bytes: Uint8Array): unknown => decodeValue(bytes, captured)
export const cloneValue = (value: unknown): unknown => decodeValue(encodeValue(value), captured)

export const packagesOf = programPackages

/** `hash` of the program, which a bundle's functions carry on when they are shipped from here. */
export function linkFunction(hash: string, code: string, environment: Uint8Array, compile: (text: string) => Linkable): AnyFunction {
  return linkProgram(code, environment, { ...captured, compile, package: packageNamespace, bundle: (evaluate) => evaluateBundle(hash, evaluate) })
}
