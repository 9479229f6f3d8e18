// Built-ins as they were before user code ran. User code may replace Promise.prototype.then, JSON or
// the array methods in its own realm (reliability.md row 43); what the prelude relies on for budgets,
// framing and error capture comes from here. Loaded first; keeps no reference to anything of the host.

const bindCall = (Function.prototype.call.bind as (this: unknown, self: unknown) => unknown).bind(Function.prototype.call) as
  <This, Args extends readonly unknown[], Result>(method: (this: This, ...args: Args) => Result) => (self: This, ...args: Args) => Result

export const ObjectCreate = Object.create
export const ObjectFreeze = Object.freeze
export const ObjectKeys = Object.keys
export const ObjectDefineProperty = Object.defineProperty
export const ObjectDefineProperties = Object.defineProperties
export const ObjectHasOwn = Object.hasOwn
export const ObjectGetOwnPropertyDescriptor = Object.getOwnPropertyDescriptor
export const ReflectConstruct = Reflect.construct
export const ReflectApply = Reflect.apply
export const ReflectDeleteProperty = Reflect.deleteProperty
export const ArrayIsArray = Array.isArray
export const JSONStringify = JSON.stringify
export const JSONParse = JSON.parse
export const NumberIsFinite = Number.isFinite
export const MathFloor = Math.floor
export const MathMin = Math.min
export const nativeRandom = Math.random
export const TypedUint8Array = Uint8Array
export const StringConstructor = String
export const PromiseConstructor = Promise
export const ProxyConstructor = Proxy
export const ErrorConstructor = Error
export const TypeErrorConstructor = TypeError
export const NativeDate = Date
export const nativeNow = Date.now
/** Indirect eval: compiles in the global scope of the isolate. */
export const globalEval = globalThis.eval

export const mapGet = bindCall(Map.prototype.get) as <K, V>(map: Map<K, V>, key: K) => V | undefined
export const mapSet = bindCall(Map.prototype.set) as <K, V>(map: Map<K, V>, key: K, value: V) => Map<K, V>
export const mapDelete = bindCall(Map.prototype.delete) as <K, V>(map: Map<K, V>, key: K) => boolean
export const mapForEach = bindCall(Map.prototype.forEach) as unknown as <K, V>(map: Map<K, V>, each: (value: V, key: K) => void) => void
export const mapClear = bindCall(Map.prototype.clear) as <K, V>(map: Map<K, V>) => void
export const weakMapGet = bindCall(WeakMap.prototype.get) as <V>(map: WeakMap<object, V>, key: object) => V | undefined
export const weakMapSet = bindCall(WeakMap.prototype.set) as <V>(map: WeakMap<object, V>, key: object, value: V) => WeakMap<object, V>
export const numberToString = bindCall(Number.prototype.toString) as (value: number, radix: number) => string
export const stringSlice = bindCall(String.prototype.slice)
export const stringIndexOf = bindCall(String.prototype.indexOf) as (text: string, part: string, from?: number) => number
export const charCodeAt = bindCall(String.prototype.charCodeAt)
export const bytesSlice = bindCall(Uint8Array.prototype.slice) as (bytes: Uint8Array, from?: number, to?: number) => Uint8Array
export const bytesSet = bindCall(Uint8Array.prototype.set) as (bytes: Uint8Array, from: ArrayLike<number>, at?: number) => void
/** Reactions on a native promise of ours, whatever became of Promise.prototype.then. */
export const promiseThen = bindCall(Promise.prototype.then) as
  <T>(promise: Promise<T>, done: (value: T) => void, failed: (error: unknown) => void) => Promise<unknown>
