// The owner file of cbor-x on the value side: a tree that holds only plain data and Tags <-> bytes.
//
// Works in Node and inside an isolate (no Buffer, no TextDecoder: cbor-x falls back by itself). Records are
// off: they compile code from key names, and values come from sandboxes. Only bytes that scan.ts has passed
// may be read here. The result of writeCbor owns an ArrayBuffer of exactly its size, because copying a view
// across an isolate boundary copies its whole buffer, secrets of the pool included (spike, section D).

// Not 'cbor-x' itself: that would load its optional native string reader, which would see hostile bytes.
import { Tag } from 'cbor-x/decode'
import { Encoder } from 'cbor-x/encode'

export { Tag }

// variableMapSize: shortest map headers, and Object.keys order, so that equal values give equal bytes.
const cbor = new Encoder({ useRecords: false, mapsAsObjects: true, variableMapSize: true, tagUint8Array: false, copyBuffers: true } as ConstructorParameters<typeof Encoder>[0])

/** cbor-x's RESET_BUFFER_MODE: write again over the same working buffer. */
const RESET_BUFFER_MODE = 1_024
/** A working buffer grown beyond this is given back. */
const WORKING_BYTES_KEPT = 1_048_576
const WORKING_BYTES = 8_192

const encode = (tree: unknown): Uint8Array => (cbor.encode as (tree: unknown, mode: number) => Uint8Array).call(cbor, tree, RESET_BUFFER_MODE)

const allocate = (bytes: number): Uint8Array =>
  typeof Buffer === 'undefined' ? new Uint8Array(bytes) : Buffer.allocUnsafeSlow(bytes)

export function writeCbor(tree: unknown): Uint8Array {
  const written = encode(tree)
  const exact = new Uint8Array(written.length)
  exact.set(written)
  if (exact.length > WORKING_BYTES_KEPT) (cbor as unknown as { useBuffer(buffer: Uint8Array): void }).useBuffer(allocate(WORKING_BYTES))
  return exact
}

/** `bytes` must have passed scanValue. Byte strings in the result own their buffers. */
export function readCbor(bytes: Uint8Array): unknown {
  // A plain view of our own: cbor-x hangs a property on its source, and slices of a Buffer would be Buffers.
  return cbor.decode(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
}
