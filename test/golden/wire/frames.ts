// The golden frames: how each is made today, and what it must decode to for ever. The bytes lie beside,
// in <version>/<name>.hex. A wire change adds names and a version; it never changes a line here.
// Run this file to write the bytes of names that have none yet.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import * as wire from '../../../fabric/rpc/messages.ts'

interface Golden { readonly since: string; encode(): Uint8Array; decode(bytes: Uint8Array): unknown; readonly expected: unknown }

const body = { name: 'alpha', n: -5, ratio: 0.25, big: 2n ** 70n, flags: [true, false, null], bytes: Uint8Array.of(1, 2, 3), text: 'Zürich 雲' }
const error = { code: 'FABRIC_ERR_BUSY', message: 'busy', name: 'CodedError', details: { limit: 256 }, stack: 'Error: busy\n    at x', cause: { code: 'X', message: 'inner' }, retryable: true, outcome: 'not-started' } as const
const open = { call: 17, method: 'pm.info', body, timeoutMs: 30_000, principal: 'local:0', trace: '0123456789abcdef', hop: 2, key: 'k-1', shape: 0 } as const
const message = (encode: () => Uint8Array, expected: unknown): Golden => ({ since: '0.1.0', encode, decode: wire.decodeMessage, expected })
/** The payload is a view, maybe of a Buffer; compared as plain bytes. */
const decodeFragment = (bytes: Uint8Array): unknown => {
  const fragment = wire.decodeFragment(bytes)
  return { ...fragment, payload: new Uint8Array(fragment.payload) }
}

export const FRAMES: Readonly<Record<string, Golden>> = {
  'open-call': message(() => wire.encodeOpen(open), { type: 1, ...open }),
  'open-stream-bare': message(
    () => wire.encodeOpen({ call: 1, method: 's', body: null, timeoutMs: 1, principal: null, trace: 't', hop: 0, key: null, shape: 1 }),
    { type: 1, call: 1, method: 's', body: null, timeoutMs: 1, principal: null, trace: 't', hop: 0, key: null, shape: 1 }),
  'result': message(() => wire.encodeResult(-17, body, 'pm.info'), { type: 2, call: -17, body }),
  'fail': message(() => wire.encodeFail(-17, error), { type: 3, call: -17, error }),
  'data': message(() => wire.encodeData(300, [1, 70_000, 1e300], 's'), { type: 4, call: 300, body: [1, 70_000, 1e300] }),
  'end': message(() => wire.encodeEnd(-70_000), { type: 5, call: -70_000 }),
  'credit': message(() => wire.encodeCredit(5, 2_097_152), { type: 6, call: 5, bytes: 2_097_152 }),
  'cancel': message(() => wire.encodeCancel(5, { code: 'FABRIC_ERR_CANCELLED', message: 'stop' }), { type: 7, call: 5, error: { code: 'FABRIC_ERR_CANCELLED', message: 'stop' } }),
  'event': message(() => wire.encodeEvent('node.load', { cpuRatio: 0.5 }), { type: 8, name: 'node.load', body: { cpuRatio: 0.5 } }),
  'goodbye': message(() => wire.encodeGoodbye(undefined), { type: 9, error: undefined }),
  'goodbye-fault': message(() => wire.encodeGoodbye(error), { type: 9, error }),
  'fragment-last': { since: '0.1.0', encode: () => wire.encodeFragment(-9, Uint8Array.of(0x83, 0x02, 0x28, 0xf6), 0), decode: decodeFragment, expected: { call: -9, part: 'last', payload: Uint8Array.of(0x83, 0x02, 0x28, 0xf6) } },
  'fragment-abandoned': { since: '0.1.0', encode: () => wire.encodeAbandon(9), decode: decodeFragment, expected: { call: 9, part: 'abandoned', payload: new Uint8Array() } },
}

if (import.meta.main) {
  for (const [name, frame] of Object.entries(FRAMES)) {
    const directory = new URL(`${frame.since}/`, import.meta.url)
    const file = new URL(`${name}.hex`, directory)
    mkdirSync(directory, { recursive: true })
    if (!existsSync(file)) writeFileSync(file, `${Buffer.from(frame.encode()).toString('hex')}\n`)
  }
}
