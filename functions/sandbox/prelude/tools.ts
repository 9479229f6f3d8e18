// What a deployed function holds besides collections: log, state, emit, fn, secrets. Each is a few host calls on the account of
// the call that makes them (plan/host-calls.ts); values that only the function understands go and come as bytes.
//
// They are made for one element, so that its calls are its own even after an await, with others running beside it. A shipped
// function that captured one finds the target's (`globalThis.dc.log`, by its COUNTERPART), which is on the same account.

import { COUNTERPART } from '../../contract.ts'
import { logLine } from './console.ts'
import { SandboxError } from './error-capture.ts'
import { errorFromRecord, hostCall } from './host-calls.ts'
import { elementAtWork } from './host.ts'
import { effectOf } from './pending.ts'
import { ArrayIsArray, nativeRandom, ObjectDefineProperty, ObjectFreeze, ObjectKeys, PromiseConstructor, StringConstructor, TypedUint8Array } from './primordials.ts'
import { noteSecret } from './secrets.ts'
import { setTimer } from './timers.ts'
import { decodeAnswer, encodeArguments } from './value.ts'

/** Marks what stands under `globalThis.dc` at a target. */
export function standingFor<T extends object>(path: string, value: T): T {
  const parts = ['dc', ...path.split('.')]
  ObjectDefineProperty(value, COUNTERPART, { value: ObjectFreeze(parts) })
  return value
}
/** The same for each member. */
function tool<T extends Readonly<Record<string, object>>>(path: string, members: T): T {
  const names = ObjectKeys(members)
  for (let i = 0; i < names.length; i++) ObjectFreeze(standingFor(`${path}.${names[i] as string}`, members[names[i] as string] as object))
  return ObjectFreeze(standingFor(path, members))
}

type Fields = Readonly<Record<string, unknown>>
interface CallOptions { readonly target?: string; readonly timeoutMs?: number; readonly idempotencyKey?: string }

/** Larger than any host call may carry: that bound is told with its own message. */
const PAYLOAD_BYTES_MAX = 16 * 1024 * 1024
const payloadOf = (value: unknown): Uint8Array => encodeArguments([value], PAYLOAD_BYTES_MAX)
const valueOf = (answer: unknown, element: number): unknown => (answer instanceof TypedUint8Array ? (decodeAnswer(answer, element) as unknown[])[0] : answer)
/** Of this element, or, for -1, of the one that runs when the tool is used. */
const ownerOf = (element: number): number => (element >= 0 ? element : elementAtWork())

function needText(what: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value
  throw new SandboxError('FUNCTIONS_ERR_PAYLOAD_INVALID', `${what} must be a text, got ${value === null ? 'null' : typeof value}`)
}

// ---------------------------------------------------------------- log

function logTool(element: number): object {
  const at = (level: string) => (first?: unknown, second?: unknown): void => {
    // (fields, text) or (text, fields): whichever is an object is the fields.
    const fields = typeof first === 'object' && first !== null ? first : typeof second === 'object' && second !== null ? second : undefined
    const words = fields === first ? second : first
    logLine(level, words === undefined ? '' : StringConstructor(words), fields as Fields | undefined, element)
  }
  return tool('log', { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') })
}

// ---------------------------------------------------------------- state

interface Stored { readonly value: unknown; readonly version: number }
const UPDATES_MAX = 16
const UPDATE_PAUSE_MS = 8

function stateTool(element: number): object {
  const call = (verb: string, args: readonly unknown[]): Promise<unknown> => hostCall(undefined, `state.${verb}`, args, element, verb === 'put' ? 'guarded' : undefined)
  const read = async (key: string): Promise<Stored | undefined> => {
    const found = await call('get', [needText('the key of a state', key)]) as Stored | null
    return found === null || found === undefined ? undefined : { value: valueOf(found.value, element), version: found.version }
  }
  const write = async (key: string, value: unknown, version: number | undefined): Promise<number> => await call('put', [needText('the key of a state', key), payloadOf(value), version ?? null]) as number
  const get = async (key: string): Promise<unknown> => (await read(key))?.value
  const entry = async (key: string): Promise<object | undefined> => {
    const found = await read(key)
    return found === undefined ? undefined : { key, ...found }
  }
  const put = (key: string, value: unknown, options: { readonly version?: number } = {}): PromiseLike<unknown> => effectOf(ownerOf(element), write(key, value, options.version))
  const change = async (key: string, by: (value: unknown) => unknown): Promise<unknown> => {
    for (let attempt = 1; ; attempt++) {
      const before = await read(key)
      const after = await by(before?.value)
      try {
        await write(key, after, before?.version ?? 0)
        return after
      } catch (error) {
        if ((error as { code?: unknown }).code !== 'FUNCTIONS_ERR_STATE_CONFLICT' || attempt >= UPDATES_MAX) throw error
      }
      // Whoever lost waits a little, each another time, so that not all come back at once.
      await new PromiseConstructor<void>((resolve) => { setTimer(resolve, nativeRandom() * UPDATE_PAUSE_MS * attempt) })
    }
  }
  const update = (key: string, by: (value: unknown) => unknown): PromiseLike<unknown> => effectOf(ownerOf(element), change(key, by))
  const remove = (key: string): PromiseLike<unknown> => effectOf(ownerOf(element), call('delete', [needText('the key of a state', key), null]))
  const list = async (prefix?: string): Promise<object[]> => {
    const found = await call('list', [prefix ?? null]) as readonly (Stored & { readonly key: string })[]
    const entries: object[] = []
    for (let i = 0; i < found.length; i++) {
      const { key, value, version } = found[i] as Stored & { key: string }
      entries[i] = { key, value: valueOf(value, element), version }
    }
    return entries
  }
  return tool('state', { get, entry, put, update, delete: remove, list })
}

// ---------------------------------------------------------------- calls by name, topics, secrets

/** Of all nodes: one each, as a shell gets them (NodeAnswer). */
function answerOf(answer: unknown, element: number): unknown {
  if (!ArrayIsArray(answer)) return valueOf(answer, element)
  const answers: unknown[] = []
  for (let i = 0; i < answer.length; i++) {
    const [node, value, code, message] = answer[i] as readonly [string, unknown, string?, string?]
    answers[i] = code === undefined ? { node, value: valueOf(value, element) } : { node, error: errorFromRecord({ code, message: message ?? code }) }
  }
  return answers
}

function fnTool(element: number): object {
  return standingFor('fn', (reference: string, options: CallOptions = {}): object => {
    const name = needText('the name of a function', reference)
    const ask = (verb: string, payload: unknown, own: CallOptions | undefined): Promise<unknown> => hostCall(undefined, verb, [name, payloadOf(payload), { ...options, ...own }], element, 'guarded')
    const call = async (payload?: unknown, own?: CallOptions): Promise<unknown> => answerOf(await ask('fn.invoke', payload, own), element)
    const enqueue = (payload?: unknown, own?: CallOptions): PromiseLike<unknown> => effectOf(ownerOf(element), (async () => ask('fn.enqueue', payload, own))())
    ObjectDefineProperty(call, 'enqueue', { value: enqueue })
    return call
  })
}

const emitTool = (element: number): object => standingFor('emit', (topic: string, payload?: unknown): PromiseLike<unknown> =>
  effectOf(ownerOf(element), (async () => { await hostCall(undefined, 'emit', [needText('a topic', topic), payloadOf(payload)], element, 'guarded') })()))

const secretsTool = (element: number): object => tool('secrets', {
  get: async (name: string): Promise<string> => {
    const value = await hostCall(undefined, 'secret.get', [needText('the name of a secret', name)], element) as string
    noteSecret(name, value)
    return value
  },
})

export const toolsFor = (element: number): Readonly<Record<string, object>> => ({ log: logTool(element), state: stateTool(element), emit: emitTool(element), fn: fnTool(element), secrets: secretsTool(element) })
