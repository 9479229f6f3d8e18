// qcow2 headers: what a disk file says of itself, read without running anything on it.
//
//   bytes at the start of a file --readQcow2--> size, backing file, tables, or why it is not to be trusted
//
// The file may come from anywhere, so every number is held against the file's own length before it is used; an image
// that points outside itself (backing file, external data file) is only described here, whether it is welcome the caller
// decides. Pure. Source: QEMU docs/interop/qcow2.txt (versions 2 and 3).

/** Version 2 ends here; version 3 says its own length, at least 104. */
const HEADER_V2_BYTES = 72
const HEADER_V3_BYTES = 104
const BACKING_NAME_BYTES_MAX = 1_023
/** Bits of incompatible_features. */
const CORRUPT_BIT = 1n << 1n
const DATA_FILE_BIT = 1n << 2n
const EXTENSION_END = 0
const EXTENSION_BACKING_FORMAT = 0xe2792aca
const EXTENSIONS_MAX = 64
/** Bits 9 to 55 of a table entry are its offset; 0: nothing there. */
const TABLE_OFFSET_MASK = 0x00ff_ffff_ffff_fe00n

export interface Qcow2Header {
  readonly version: 2 | 3
  /** What the guest sees. */
  readonly capacityBytes: number
  readonly clusterBytes: number
  /** As written in the file: absolute, or relative to the file's directory. */
  readonly backingFile?: string
  readonly backingFormat?: 'qcow2' | 'raw' | 'other'
  /** Guest data lies in another file. */
  readonly externalData: boolean
  /** QEMU marked it as damaged. */
  readonly corrupt: boolean
  readonly encrypted: boolean
  readonly snapshots: number
  /** Its table of tables, for isBlank. */
  readonly tableOffsetBytes: number
  readonly tableBytes: number
}
export type Qcow2Reading =
  | { readonly is: 'qcow2'; readonly header: Qcow2Header }
  | { readonly is: 'not-qcow2' }
  | { readonly is: 'damaged'; readonly reason: string }

const damaged = (reason: string): Qcow2Reading => ({ is: 'damaged', reason })
const utf8 = new TextDecoder('utf-8', { fatal: true })

function textAt(head: Uint8Array, from: number, length: number): string | undefined {
  try { return utf8.decode(head.subarray(from, from + length)) } catch { return undefined }
}

/** The backing file's format from the header's extensions. Unknown ones are passed over, as QEMU does. */
function backingFormatOf(head: Uint8Array, view: DataView, from: number, end: number): 'qcow2' | 'raw' | 'other' | undefined {
  let at = from
  for (let seen = 0; seen < EXTENSIONS_MAX && at + 8 <= end; seen++) {
    const type = view.getUint32(at), length = view.getUint32(at + 4)
    if (type === EXTENSION_END || at + 8 + length > end) return undefined
    if (type === EXTENSION_BACKING_FORMAT) {
      const format = textAt(head, at + 8, length)
      return format === 'qcow2' || format === 'raw' ? format : 'other'
    }
    at += 8 + Math.ceil(length / 8) * 8
  }
  return undefined
}

/** Reads a header. `head`: the file's first bytes (64 KiB are enough for any file that QEMU opens); `fileBytes`: its length. */
export function readQcow2(head: Uint8Array, fileBytes: number): Qcow2Reading {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  if (head.length < 4 || view.getUint32(0) !== 0x514649fb) return { is: 'not-qcow2' }
  if (head.length < HEADER_V2_BYTES) return damaged('its header is cut off')
  const version = view.getUint32(4)
  if (version !== 2 && version !== 3) return damaged(`its version is ${version}, known are 2 and 3`)
  if (version === 3 && head.length < HEADER_V3_BYTES) return damaged('its header is cut off')

  const clusterBits = view.getUint32(20)
  if (clusterBits < 9 || clusterBits > 21) return damaged('its cluster size is out of bounds')
  const clusterBytes = 2 ** clusterBits
  const capacity = view.getBigUint64(24)
  if (capacity > BigInt(Number.MAX_SAFE_INTEGER)) return damaged('its size is out of bounds')
  const capacityBytes = Number(capacity)

  const tableEntries = view.getUint32(36)
  const tableOffset = view.getBigUint64(40)
  // One entry leads to a cluster of entries, each of a cluster of data.
  const entryCoversBytes = clusterBytes * (clusterBytes / 8)
  if (tableEntries < Math.ceil(capacityBytes / entryCoversBytes)) return damaged('its table does not cover its size')
  if (tableOffset + BigInt(tableEntries) * 8n > BigInt(fileBytes)) return damaged(`it is cut off: ${fileBytes} bytes do not hold its table`)
  const refcountOffset = view.getBigUint64(48)
  if (refcountOffset === 0n || refcountOffset + BigInt(view.getUint32(56)) * BigInt(clusterBytes) > BigInt(fileBytes)) return damaged(`it is cut off: ${fileBytes} bytes do not hold its reference counts`)

  const incompatible = version === 3 ? view.getBigUint64(72) : 0n
  const headerBytes = version === 3 ? view.getUint32(100) : HEADER_V2_BYTES
  if (version === 3 && (headerBytes < HEADER_V3_BYTES || headerBytes > clusterBytes)) return damaged('its header length is out of bounds')

  const backingOffset = view.getBigUint64(8)
  const backingBytes = view.getUint32(16)
  let backingFile: string | undefined
  let backingFormat: 'qcow2' | 'raw' | 'other' | undefined
  if (backingOffset !== 0n) {
    if (backingBytes > BACKING_NAME_BYTES_MAX || backingOffset + BigInt(backingBytes) > BigInt(Math.min(clusterBytes, head.length))) return damaged('the name of its backing file is out of bounds')
    backingFile = textAt(head, Number(backingOffset), backingBytes)
    if (backingFile === undefined || backingFile === '' || backingFile.includes('\0')) return damaged('the name of its backing file is not text')
    backingFormat = backingFormatOf(head, view, headerBytes, Number(backingOffset))
  }
  return {
    is: 'qcow2',
    header: {
      version, capacityBytes, clusterBytes,
      ...(backingFile === undefined ? {} : { backingFile }),
      ...(backingFormat === undefined ? {} : { backingFormat }),
      externalData: (incompatible & DATA_FILE_BIT) !== 0n,
      corrupt: (incompatible & CORRUPT_BIT) !== 0n,
      encrypted: view.getUint32(32) !== 0,
      snapshots: view.getUint32(60),
      tableOffsetBytes: Number(tableOffset), tableBytes: tableEntries * 8,
    },
  }
}

/** No cluster of its own: an overlay that was never written shows exactly its base. `table`: header.tableBytes bytes at header.tableOffsetBytes. */
export function isBlank(header: Qcow2Header, table: Uint8Array): boolean {
  if (header.snapshots > 0 || header.externalData || table.length < header.tableBytes) return false
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength)
  for (let at = 0; at + 8 <= header.tableBytes; at += 8) if ((view.getBigUint64(at) & TABLE_OFFSET_MASK) !== 0n) return false
  return true
}
