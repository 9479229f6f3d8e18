// What a fabric without functions answers, with some asynchronous calls: for tests of the shell's commands.

import { FUNCTIONS } from '../../functions/mod.ts'
import type { CallRecord, FunctionRow, FunctionsApi, QueuedCall, StoreApi } from '../../functions/mod.ts'
import type { DataCenter } from '../../kali/contract.ts'

export const queuedCall = (over: Partial<QueuedCall> = {}): QueuedCall =>
  ({ id: 'a'.repeat(16), name: 'send-mail', state: 'waiting', cause: 'call', attempts: 0, enqueuedAtMs: 0, payload: { to: 'ops' }, ...over })

const thrown = Object.assign(new RangeError('5 is too many'), { code: 'FUNCTIONS_ERR_THROWN', stack: 'RangeError: 5 is too many\n    at check (mail.ts:4:20)' })
export interface FakeFunctions { readonly functions: FunctionsApi; readonly store: StoreApi; fn: DataCenter['fn'] }

/** `calls` takes what was asked: "invoke NAME PAYLOAD". A call of "thrower" throws. */
export function fakeFunctions(calls: string[]): FakeFunctions {
  const asked = (what: string, name: string, rest: unknown = ''): void => { calls.push(`${what} ${name} ${typeof rest === 'string' ? rest : JSON.stringify(rest)}`.trim()) }
  const unused = async (): Promise<never> => { throw new Error('not part of these tests') }
  const invoke: FunctionsApi['invoke'] = async (name, payload, options) => {
    asked('invoke', name, { payload, ...options })
    if (name === 'thrower') throw thrown
    return { echo: payload ?? null }
  }
  return {
    fn: (name) => (payload) => invoke(name, payload),
    functions: {
      deploy: unused,
      get: async (name) => { if (name === 'nosuch') throw FUNCTIONS.FUNCTION_UNKNOWN({ name, near: '' }); return {} as FunctionRow }, rollback: unused, alias: unused, pause: unused, resume: unused, remove: unused,
      list: async () => [], problems: async () => [],
      invoke,
      call: async (name, payload) => ({ value: await invoke(name, payload), call: {} as CallRecord }),
      invokeAll: async (name, payload) => { asked('all', name, { payload }); return [{ node: 'alpha', value: 1 }, { node: 'beta', error: thrown }] },
      enqueue: async (name, payload, options) => { asked('enqueue', name, { payload, ...options }); return 'b'.repeat(16) },
      emit: async (topic) => { asked('emit', topic); return 1 },
      waiting: async (name) => (name === 'quiet' || name === 'nosuch' ? [] : [queuedCall()]),
      dead: async (name) => (name === 'quiet' ? [] : [queuedCall({ state: 'dead', attempts: 5, error: { code: 'FUNCTIONS_ERR_THROWN', message: 'no mail today' } })]),
      redrive: async (name, ids) => { asked('redrive', name, ids ?? 'all'); return ids?.length ?? 3 },
      discard: async (name, ids) => { asked('discard', name, ids ?? 'all'); return ids?.length ?? 3 },
      logs: async function* () { yield { atMs: 0, name: 'hot', version: 'c'.repeat(64), callId: 'd'.repeat(16), trace: 'e'.repeat(32), level: 'info', text: 'hello', node: 'alpha' } },
      stats: async () => [], metrics: async () => 'kumoi_up{node="alpha"} 1\n',
      secrets: { set: async (name) => ({ name, updatedAtMs: 0, by: 'local:0', sealedTo: ['alpha'], usedBy: [] }), list: async () => [{ name: 'token', updatedAtMs: 0, by: 'local:0', sealedTo: ['alpha'], usedBy: [] }], remove: async () => {} },
    },
    store: {
      status: async () => ({ description: 'embedded at alpha', kind: 'embedded', revision: 7, keys: 3, reachable: true }),
      copy: async (to, options) => { asked('copy', to, options ?? {}); return { keys: 3, to, switched: options?.keep !== true } },
    },
  }
}
