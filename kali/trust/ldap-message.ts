// What an LDAP server may say, read strictly (RFC 4511, BER): the frame, whose answer it is, its result, an entry's name and
// attributes. ldapts takes a result that it cannot read for success, and any answer with the right number for the one that it
// waits for; so ldap-wire.ts reads each message here first. Pure.

export class Malformed extends Error {
  constructor(what: string) { super(what); this.name = 'Malformed' }
}

const SEQUENCE = 0x30, SET = 0x31, INTEGER = 0x02, OCTETS = 0x04, ENUMERATED = 0x0a

/** Operations, by their tags (RFC 4511 section 4). */
export const OPERATION = { bind: 0x60, bindResponse: 0x61, unbind: 0x42, search: 0x63, searchEntry: 0x64, searchDone: 0x65, searchReference: 0x73, extended: 0x77, extendedResponse: 0x78 } as const

export type LdapAnswer =
  | { readonly type: 'result'; readonly id: number; readonly operation: number; readonly code: number }
  | { readonly type: 'entry'; readonly id: number; readonly dn: string; readonly attributes: readonly { readonly type: string; readonly values: readonly string[] }[] }
  | { readonly type: 'reference'; readonly id: number }

interface Piece { readonly tag: number; readonly body: Uint8Array; readonly end: number }

/** Length of the header and of the whole message that begins `bytes`; undefined: too few bytes to tell. */
export function frameOf(bytes: Uint8Array): { readonly total: number } | undefined {
  if (bytes.length === 0) return undefined
  if (bytes[0] !== SEQUENCE) throw new Malformed('no message')
  const length = lengthAt(bytes, 1)
  return length === undefined ? undefined : { total: length.from + length.size }
}

/** Definite lengths of at most four bytes; undefined: it is not all there. */
function lengthAt(bytes: Uint8Array, at: number): { readonly from: number; readonly size: number } | undefined {
  const first = bytes[at]
  if (first === undefined) return undefined
  if (first < 0x80) return { from: at + 1, size: first }
  const count = first & 0x7f
  if (count === 0 || count > 4) throw new Malformed('a length of another form')
  if (at + 1 + count > bytes.length) return undefined
  let size = 0
  for (let k = 1; k <= count; k++) size = size * 256 + bytes[at + k]!
  return { from: at + 1 + count, size }
}

function pieceAt(bytes: Uint8Array, at: number, tag?: number): Piece {
  const found = bytes[at]
  const length = found === undefined ? undefined : lengthAt(bytes, at + 1)
  if (found === undefined || length === undefined || length.from + length.size > bytes.length) throw new Malformed('an element that is cut off')
  if (tag !== undefined && found !== tag) throw new Malformed('an element of another kind')
  return { tag: found, body: bytes.subarray(length.from, length.from + length.size), end: length.from + length.size }
}

function* piecesOf(bytes: Uint8Array, tag: number): Generator<Piece> {
  for (let at = 0; at < bytes.length;) {
    const piece = pieceAt(bytes, at, tag)
    at = piece.end
    yield piece
  }
}

function numberOf({ body }: Piece): number {
  if (body.length === 0 || body.length > 4 || body[0]! >= 0x80) throw new Malformed('a number out of range')
  return body.reduce((sum, byte) => sum * 256 + byte, 0)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
function textOf(bytes: Uint8Array): string {
  try { return utf8.decode(bytes) } catch { throw new Malformed('a text that is not UTF-8') }
}

/** Number and operation of one whole message, either way; `from` is where the operation's body begins in it. */
export function headOf(message: Uint8Array): { readonly id: number; readonly operation: number; readonly body: Uint8Array } {
  const outer = pieceAt(message, 0, SEQUENCE)
  if (outer.end !== message.length) throw new Malformed('bytes after the message')
  const id = pieceAt(outer.body, 0, INTEGER)
  const operation = pieceAt(outer.body, id.end)
  if (operation.end < outer.body.length && pieceAt(outer.body, operation.end, 0xa0).end !== outer.body.length) throw new Malformed('bytes after the controls')
  return { id: numberOf(id), operation: operation.tag, body: operation.body }
}

/** One whole message from a server. Throws Malformed. */
export function readAnswer(message: Uint8Array): LdapAnswer {
  const { id, operation, body } = headOf(message)
  switch (operation) {
    case OPERATION.searchReference: return { type: 'reference', id }
    case OPERATION.searchEntry: return { type: 'entry', id, ...readEntry(body) }
    case OPERATION.bindResponse: case OPERATION.searchDone: case OPERATION.extendedResponse: return { type: 'result', id, operation, code: readResult(body) }
    default: throw new Malformed('an answer of another kind')
  }
}

/** LDAPResult: code, matched DN, message; what follows (referral, SASL) is not read. */
function readResult(body: Uint8Array): number {
  const code = pieceAt(body, 0, ENUMERATED)
  const matched = pieceAt(body, code.end, OCTETS)
  pieceAt(body, matched.end, OCTETS)
  return numberOf(code)
}

function readEntry(body: Uint8Array): { readonly dn: string; readonly attributes: { readonly type: string; readonly values: readonly string[] }[] } {
  const dn = pieceAt(body, 0, OCTETS)
  const list = pieceAt(body, dn.end, SEQUENCE)
  if (list.end !== body.length) throw new Malformed('bytes after the attributes')
  const attributes: { type: string; values: readonly string[] }[] = []
  for (const { body: pair } of piecesOf(list.body, SEQUENCE)) {
    const type = pieceAt(pair, 0, OCTETS)
    const values = pieceAt(pair, type.end, SET)
    if (values.end !== pair.length) throw new Malformed('bytes after the values')
    attributes.push({ type: textOf(type.body), values: [...piecesOf(values.body, OCTETS)].map((value) => textOf(value.body)) })
  }
  return { dn: textOf(dn.body), attributes }
}
