// W3C trace context: what came in as `traceparent`, and what goes out to nested calls.
//
//   version "00" - trace id, 32 hex - id of the caller's span, 16 hex - flags, 2 hex
//
// Our own trace ids have 16 hex (fabric/rpc/trace.ts). One that came from outside gives us its right half, which is
// where the specification wants the randomness; one of ours is padded with zeros on the left when it goes out.
// Pure. Source: W3C Trace Context, level 1 section 3.2 and 4.3; level 2 for the random flag.

import type { Random } from '../../fabric/base.ts'

export interface TraceParent {
  /** 32 hex, not all zero. */
  readonly traceId: string
  /** 16 hex, not all zero: the span that called. */
  readonly spanId: string
  /** Bit 0 sampled, bit 1 random; what else a caller may have set is not passed on. */
  readonly flags: number
}

/** Of one call: `trace` is ours (16 hex), `traceId` the world's (32 hex), `traceparent` what its own calls carry. */
export interface TraceContext { readonly trace: string; readonly traceId: string; readonly spanId: string; readonly traceparent: string }

const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const FLAGS_KNOWN = 0b11
const TRACE_CHARS = 16
const isZero = (hex: string): boolean => /^0+$/.test(hex)

/** Undefined for anything that the specification says to ignore. */
export function parseTraceparent(text: string | undefined): TraceParent | undefined {
  const [, version, traceId = '', spanId = '', flags = '', rest] = FORM.exec(text ?? '') ?? []
  if (version === undefined || version === 'ff' || isZero(traceId) || isZero(spanId)) return undefined
  // Later versions may add fields; the first one has none.
  if (version === '00' && rest !== undefined) return undefined
  return { traceId, spanId, flags: Number.parseInt(flags, 16) & FLAGS_KNOWN }
}

const formatTraceparent = ({ traceId, spanId, flags }: TraceParent): string => `00-${traceId}-${spanId}-${flags.toString(16).padStart(2, '0')}`

/** 32 hex for a trace of ours. */
export const traceIdOf = (trace: string): string => trace.padStart(2 * TRACE_CHARS, '0')

/** 16 hex for a trace of the world's. */
export function traceOf(traceId: string): string {
  const right = traceId.slice(TRACE_CHARS)
  return isZero(right) ? traceId.slice(0, TRACE_CHARS) : right
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
const newSpanId = (random: Random): string => {
  let hex = ''
  for (const byte of random.bytes(TRACE_CHARS / 2)) hex += HEX[byte]
  return isZero(hex) ? '0000000000000001' : hex
}

/** Context of a new call: continues `traceparent` when that is valid, else `trace` (sampled: nobody has decided otherwise). */
export function traceContext({ traceparent, trace, random }: { readonly traceparent: string | undefined; readonly trace: string; readonly random: Random }): TraceContext {
  const parent = parseTraceparent(traceparent)
  const traceId = parent?.traceId ?? traceIdOf(trace)
  const spanId = newSpanId(random)
  return { trace: parent === undefined ? trace : traceOf(parent.traceId), traceId, spanId, traceparent: formatTraceparent({ traceId, spanId, flags: parent?.flags ?? 1 }) }
}
