// UTF-8 without TextEncoder, which an isolate does not have. Lone surrogates become U+FFFD, as in the
// Encoding Standard; a malformed sequence decodes to one U+FFFD per offending byte.

import { bytesSlice, charCodeAt, StringConstructor, TypedUint8Array } from './primordials.ts'

const fromCodePoint = StringConstructor.fromCodePoint

export function encodeText(text: string): Uint8Array {
  const length = text.length
  const bytes = new TypedUint8Array(length * 3)
  let at = 0
  for (let i = 0; i < length; i++) {
    let code = charCodeAt(text, i)
    if (code >= 0xd800 && code <= 0xdfff) {
      const next = code < 0xdc00 && i + 1 < length ? charCodeAt(text, i + 1) : 0
      if (next >= 0xdc00 && next <= 0xdfff) {
        code = 0x10000 + ((code - 0xd800) << 10) + (next - 0xdc00)
        i++
      } else code = 0xfffd
    }
    if (code < 0x80) bytes[at++] = code
    else if (code < 0x800) { bytes[at++] = 0xc0 | code >> 6; bytes[at++] = 0x80 | code & 63 }
    else if (code < 0x10000) { bytes[at++] = 0xe0 | code >> 12; bytes[at++] = 0x80 | code >> 6 & 63; bytes[at++] = 0x80 | code & 63 }
    else { bytes[at++] = 0xf0 | code >> 18; bytes[at++] = 0x80 | code >> 12 & 63; bytes[at++] = 0x80 | code >> 6 & 63; bytes[at++] = 0x80 | code & 63 }
  }
  return bytesSlice(bytes, 0, at)
}

const continuation = (byte: number | undefined): byte is number => byte !== undefined && (byte & 0xc0) === 0x80

export function decodeText(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length;) {
    const a = bytes[i] as number
    const b = bytes[i + 1], c = bytes[i + 2], d = bytes[i + 3]
    let code = 0xfffd
    let used = 1
    if (a < 0x80) code = a
    else if (a >= 0xc2 && a < 0xe0 && continuation(b)) { code = (a & 31) << 6 | b & 63; used = 2 }
    else if (a >= 0xe0 && a < 0xf0 && continuation(b) && continuation(c)) {
      const wide = (a & 15) << 12 | (b & 63) << 6 | c & 63
      if (wide >= 0x800 && (wide < 0xd800 || wide > 0xdfff)) { code = wide; used = 3 }
    } else if (a >= 0xf0 && a < 0xf5 && continuation(b) && continuation(c) && continuation(d)) {
      const wide = (a & 7) << 18 | (b & 63) << 12 | (c & 63) << 6 | d & 63
      if (wide >= 0x10000 && wide <= 0x10ffff) { code = wide; used = 4 }
    }
    text += fromCodePoint(code)
    i += used
  }
  return text
}
