// The realm that user code sees. Removed: shared memory, WebAssembly, resizable buffers (each measured to
// pass the heap limit or to measure time finely) and what runs code after the answer (finalizers). Added:
// the small set of web functions an isolate lacks. The clock is coarse: CLOCK_STEP_MS steps, enough to
// date a record, too little to probe a cache (reliability.md rows 34 to 36, 45, 46). eval and Function stay: they
// compile inside the same isolate under the same limits and reach nothing (row 24).

import { makeConsole } from './console.ts'
import { encodeText, decodeText } from './text.ts'
import { names, NAMES_GLOBAL } from './names.ts'
import { clearTimer, setTimer } from './timers.ts'
import { cloneValue } from './value.ts'
import { MathFloor, nativeNow, NativeDate, ObjectDefineProperty, PromiseConstructor, promiseThen, ReflectConstruct, ReflectDeleteProperty, StringConstructor, TypedUint8Array, TypeErrorConstructor } from './primordials.ts'

const CLOCK_STEP_MS = 100
const coarseNow = (): number => MathFloor(nativeNow() / CLOCK_STEP_MS) * CLOCK_STEP_MS

const define = (target: object, name: PropertyKey, value: unknown): void => {
  ObjectDefineProperty(target, name, { value, writable: true, configurable: true, enumerable: false })
}

function coarseDate(): void {
  const CoarseDate = function (...args: []): unknown {
    if (new.target === undefined) return StringConstructor(new NativeDate(coarseNow()))
    return ReflectConstruct(NativeDate, args.length === 0 ? [coarseNow()] : args, new.target)
  }
  define(CoarseDate, 'name', 'Date')
  define(CoarseDate, 'length', 7)
  define(CoarseDate, 'now', coarseNow)
  define(CoarseDate, 'parse', NativeDate.parse)
  define(CoarseDate, 'UTC', NativeDate.UTC)
  ObjectDefineProperty(CoarseDate, 'prototype', { value: NativeDate.prototype, writable: false })
  define(NativeDate.prototype, 'constructor', CoarseDate)
  define(globalThis, 'Date', CoarseDate)
}

/** A formatter without an argument would format the fine clock. */
function coarseFormat(): void {
  const prototype = Intl.DateTimeFormat.prototype
  const parts = prototype.formatToParts
  define(prototype, 'formatToParts', function (this: Intl.DateTimeFormat, date?: Date | number) { return parts.call(this, date ?? coarseNow()) })
  const format = Object.getOwnPropertyDescriptor(prototype, 'format')?.get
  if (format === undefined) return
  ObjectDefineProperty(prototype, 'format', {
    configurable: true,
    get(this: Intl.DateTimeFormat) {
      const bound = format.call(this) as (date: Date | number) => string
      return (date?: Date | number) => bound(date ?? coarseNow())
    },
  })
}

class Utf8Encoder {
  get encoding(): string { return 'utf-8' }
  encode(text: unknown = ''): Uint8Array { return encodeText(StringConstructor(text)) }
}

class Utf8Decoder {
  constructor(label: unknown = 'utf-8') {
    const name = StringConstructor(label).toLowerCase()
    if (name !== 'utf-8' && name !== 'utf8') throw new RangeError(`TextDecoder in a sandbox knows utf-8 only, not ${name}`)
  }

  get encoding(): string { return 'utf-8' }
  decode(input: ArrayBuffer | ArrayBufferView = new TypedUint8Array(0)): string {
    const bytes = ArrayBuffer.isView(input) ? new TypedUint8Array(input.buffer as ArrayBuffer, input.byteOffset, input.byteLength) : new TypedUint8Array(input)
    return decodeText(bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes)
  }
}

export function shapeRealm(): void {
  for (const name of ['WebAssembly', 'SharedArrayBuffer', 'Atomics', 'FinalizationRegistry', 'WeakRef']) ReflectDeleteProperty(globalThis, name)
  for (const name of ['resize', 'resizable', 'maxByteLength', 'transfer', 'transferToFixedLength']) ReflectDeleteProperty(ArrayBuffer.prototype, name)
  // A formatter of stack traces would run user code whenever a stack is read (row 19).
  ObjectDefineProperty(Error, 'prepareStackTrace', { value: undefined, writable: false, configurable: false })
  coarseDate()
  coarseFormat()
  define(globalThis, 'console', makeConsole())
  define(globalThis, 'setTimeout', setTimer)
  define(globalThis, 'clearTimeout', clearTimer)
  define(globalThis, 'queueMicrotask', (task: unknown) => {
    if (typeof task !== 'function') throw new TypeErrorConstructor('queueMicrotask needs a function')
    promiseThen(PromiseConstructor.resolve(), () => { task() }, () => {})
  })
  define(globalThis, 'structuredClone', cloneValue)
  define(globalThis, NAMES_GLOBAL, names)
  define(globalThis, 'TextEncoder', Utf8Encoder)
  define(globalThis, 'TextDecoder', Utf8Decoder)
}
