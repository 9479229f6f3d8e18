// What a captured value is called: source text, mode and name of a function, type names for manifests.

import { types } from 'node:util'
import type { ReferenceRecord, SourceSpec } from '../contract.ts'
import { tagOf } from '../value/brand.ts'
import type { Source } from './analysis.ts'

export type AnyFunction = ((...args: unknown[]) => unknown) & { readonly prototype?: object }

/** Source text of native and bound functions. */
export const NATIVE = /\{\s*\[native code\]\s*\}\s*$/

export const toSource = (fn: unknown): string => Function.prototype.toString.call(fn)

/** Only sloppy `function`s have an own `caller`. */
const isSloppy = (fn: AnyFunction): boolean => Object.hasOwn(fn, 'caller')

export function sourceOf(fn: AnyFunction): Source {
  return { text: toSource(fn), name: typeof fn.name === 'string' ? fn.name : '', sloppy: isSloppy(fn) }
}

/** Kind of a reference, or of what a collection holds; else what the collection is made from. */
export function capabilityName(capability: ReferenceRecord | SourceSpec): string {
  return 'kind' in capability ? capability.kind : capability.type
}

/** Type for people: "number", "Map", "class". */
export function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'function') return /^class\b/.test(toSource(value)) ? 'class' : 'function'
  if (typeof value !== 'object') return typeof value
  if (types.isProxy(value)) return 'reference'
  const name = (value.constructor as { name?: unknown } | undefined)?.name
  return typeof name === 'string' && name !== '' ? name : tagOf(value)
}
