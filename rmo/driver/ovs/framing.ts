// Cuts a stream of bytes into JSON texts: RFC 7047 puts one JSON object after the other with nothing between.
//
// First thing that received bytes pass. A state machine over bytes (depth, inside a string, after a backslash), so that
// each byte is looked at once however the stream was cut, and a character cut in half is put together again. Bounded:
// one text of more than `bytesMax` ends the stream. Whether a text is valid JSON is JSON.parse's to say. Pure.

const QUOTE = 0x22, BACKSLASH = 0x5c, OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d, OPEN_BRACKET = 0x5b, CLOSE_BRACKET = 0x5d
const SPACES: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d])

export interface Framing {
  /** Texts that are complete with these bytes, in order. Throws on bytes that can start no object and on a text beyond the bound; the stream is unusable then. */
  feed(bytes: Uint8Array): readonly string[]
  /** Bytes kept of a text that has not ended. */
  readonly pendingBytes: number
}

export function createFraming({ bytesMax }: { readonly bytesMax: number }): Framing {
  let kept: Uint8Array[] = []
  let keptBytes = 0
  let depth = 0
  let inString = false
  let escaped = false

  const textOf = (last: Uint8Array): string => {
    const text = Buffer.concat([...kept, last]).toString('utf8')
    kept = []
    keptBytes = 0
    return text
  }

  return {
    get pendingBytes() { return keptBytes },
    feed(bytes) {
      const texts: string[] = []
      let from = 0
      for (let at = 0; at < bytes.length; at++) {
        const byte = bytes[at]
        if (byte === undefined) break
        if (inString) {
          if (escaped) escaped = false
          else if (byte === BACKSLASH) escaped = true
          else if (byte === QUOTE) inString = false
          continue
        }
        if (depth === 0) {
          if (SPACES.has(byte)) { from = at + 1; continue }
          if (byte !== OPEN_BRACE) throw new Error(`byte ${byte} cannot start a JSON object`)
          from = at
        }
        if (byte === QUOTE) inString = true
        else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++
        else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
          depth--
          if (depth > 0) continue
          if (keptBytes + at + 1 - from > bytesMax) throw new Error(`a message of more than ${bytesMax} bytes`)
          texts.push(textOf(bytes.subarray(from, at + 1)))
          from = at + 1
        }
      }
      if (depth > 0) {
        // Copied: the caller may use its buffer again.
        const rest = Uint8Array.from(bytes.subarray(from))
        keptBytes += rest.length
        kept.push(rest)
        if (keptBytes > bytesMax) throw new Error(`a message of more than ${bytesMax} bytes`)
      }
      return texts
    },
  }
}
