// A host call as a cell's frame says it: [verb, kind, uuid, home] as JSON, then the bytes of its arguments. Hostile.

import type { HostCall } from '../../contract.ts'

const decoder = new TextDecoder()
const TEXT_BYTES_MAX = 4_096

/** Undefined when the frame is not a call: only a broken or lying cell sends that. */
export function parseCall(body: Uint8Array, element: number, from: number, count: number): HostCall | undefined {
  if (body.byteLength < 4) return undefined
  const length = new DataView(body.buffer, body.byteOffset).getUint32(0, true)
  if (length > TEXT_BYTES_MAX || 4 + length > body.byteLength) return undefined
  try {
    const [verb, kind, uuid, home] = JSON.parse(decoder.decode(body.subarray(4, 4 + length))) as unknown[]
    if (typeof verb !== 'string') return undefined
    const args = body.slice(4 + length)
    if (kind === undefined) return { target: undefined, verb, args, element }
    // An element that may have made it: for its account, not for the journal.
    if (typeof kind === 'number') return { target: undefined, verb, args, element: Number.isInteger(kind) && kind >= 0 && from + kind < count ? from + kind : -1 }
    if (typeof kind !== 'string' || typeof uuid !== 'string' || typeof home !== 'string') return undefined
    return { target: { kind, uuid, home }, verb, args, element }
  } catch {
    return undefined
  }
}

