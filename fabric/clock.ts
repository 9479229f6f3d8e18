// Clock and Random: the only file that touches system time or randomness, so that the same code
// runs on virtual time from a seed in simulation.

export interface Timer { cancel(): void }

export interface Clock {
  /** Monotonic milliseconds; deadlines, leases and intervals are measured on it. */
  nowMs(): number
  /** Wall clock milliseconds since 1970; for display and records only, never for deadlines. */
  wallMs(): number
  /** Runs `callback` once after `delayMs`. Never keeps the process alive when `background`. */
  after(delayMs: number, callback: () => void, options?: { readonly background?: boolean }): Timer
}

export interface Random {
  /** Uniform in [0, 1). */
  next(): number
  /** Uniform integer in [0, below). */
  int(below: number): number
  bytes(length: number): Uint8Array
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, callback, options) {
    const handle = setTimeout(callback, delayMs)
    if (options?.background === true) handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
}

/** Most that getRandomValues fills at once. */
const RANDOM_BYTES_PER_CALL = 65_536
/** Ids are drawn for every call, and a draw costs the same for one byte as for a thousand: short ones are cut off a longer one. */
const DRAWN_BYTES = 1_024
const SHORT_BYTES = 32
const drawn = new Uint8Array(DRAWN_BYTES)
let drawnFrom = DRAWN_BYTES

/** Each byte is given once and forgotten here. */
function shortBytes(length: number): Uint8Array {
  if (drawnFrom + length > DRAWN_BYTES) {
    crypto.getRandomValues(drawn)
    drawnFrom = 0
  }
  const bytes = drawn.slice(drawnFrom, drawnFrom + length)
  drawn.fill(0, drawnFrom, drawnFrom += length)
  return bytes
}

export const systemRandom: Random = {
  next: () => Math.random(),
  int: (below) => Math.floor(Math.random() * below),
  // Web Crypto, not node:crypto: base.ts is bundled into sandboxes, which have no Node modules.
  bytes(length) {
    if (length <= SHORT_BYTES) return shortBytes(length)
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; at += RANDOM_BYTES_PER_CALL) crypto.getRandomValues(bytes.subarray(at, at + RANDOM_BYTES_PER_CALL))
    return bytes
  },
}

/** Deterministic generator (sfc32 seeded by splitmix32): same seed, same sequence, on every platform. */
export function seededRandom(seed: number): Random {
  let mix = seed >>> 0
  const split = (): number => {
    mix = (mix + 0x9e3779b9) >>> 0
    let z = mix
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return (z ^ (z >>> 15)) >>> 0
  }
  let a = split(), b = split(), c = split(), d = split()
  const next = (): number => {
    const t = (a + b + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + t | 0
    return (t >>> 0) / 4294967296
  }
  return {
    next,
    int: (below) => Math.floor(next() * below),
    bytes: (length) => Uint8Array.from({ length }, () => Math.floor(next() * 256)),
  }
}
