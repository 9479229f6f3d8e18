// Noise handshake and record encryption of our TCP streams.
//
// Handshake: Noise_XK over Ed25519 keys (the dialler knows whom it wants; the acceptor reveals nothing to
// one who does not), three messages, so both ends are known to be alive when it completes. Records after it:
// libsodium's secretstream, one per direction, under the two keys Noise derived. The same parts as
// @hyperswarm/secret-stream, without its copies, and with our own caps in front (D: see DECISIONS.md).
// Owner of noise-handshake and noise-curve-ed; of sodium-universal beside identity/sealing.ts.

import curve from 'noise-curve-ed'
import NoiseState from 'noise-handshake'
import sodium from 'sodium-universal'
import type { Keys } from '../identity/keys.ts'

const {
  crypto_secretstream_xchacha20poly1305_ABYTES: TAG_BYTES,
  crypto_secretstream_xchacha20poly1305_HEADERBYTES: HEADER_BYTES,
  crypto_secretstream_xchacha20poly1305_KEYBYTES: KEY_BYTES,
  crypto_secretstream_xchacha20poly1305_STATEBYTES: STATE_BYTES,
  crypto_secretstream_xchacha20poly1305_TAG_MESSAGE: TAG_MESSAGE,
} = sodium

/** Bytes a sealed record is longer than its plaintext. */
export const SEAL_BYTES = TAG_BYTES
/** Each direction opens with this many bytes, before its first record. */
export const SEAL_HEADER_BYTES = HEADER_BYTES
/** Longest handshake message; anything longer is no handshake. */
export const HANDSHAKE_BYTES_MAX = 128

const PROLOGUE = Buffer.from('kumoi tcp 1')

export interface Handshake {
  readonly complete: boolean
  send(): Uint8Array
  /** Throws when the message is not a valid next one. */
  receive(message: Uint8Array): void
  /** The peer's public key, proved. Only when complete. */
  remote(): Buffer
  sealer(): Sealer
  opener(header: Uint8Array): Opener
}

/** `remote` is the wanted peer's key for the dialler, undefined for the acceptor. */
export function startHandshake(keys: Keys, remote: Uint8Array | undefined): Handshake {
  const noise = new NoiseState('XK', remote !== undefined, keys, { curve })
  noise.initialise(PROLOGUE, remote)
  return {
    get complete() { return noise.complete },
    send: () => noise.send(),
    receive: (message) => { noise.recv(message) },
    remote: () => Buffer.from(noise.rs),
    sealer: () => new Sealer(noise.tx),
    opener: (header) => new Opener(noise.rx, header),
  }
}

export class Sealer {
  readonly header = Buffer.alloc(HEADER_BYTES)
  readonly #state = Buffer.alloc(STATE_BYTES)
  constructor(key: Uint8Array) {
    sodium.crypto_secretstream_xchacha20poly1305_init_push(this.#state, this.header, key.subarray(0, KEY_BYTES))
  }
  /** Writes the sealed `plain` into `sealed` (SEAL_BYTES longer); `bound` is authenticated with it, not hidden. */
  seal(plain: Uint8Array, sealed: Uint8Array, bound: Uint8Array): void {
    sodium.crypto_secretstream_xchacha20poly1305_push(this.#state, sealed, plain, bound, TAG_MESSAGE)
  }
}

export class Opener {
  readonly #state = Buffer.alloc(STATE_BYTES)
  readonly #tag = Buffer.alloc(1)
  constructor(key: Uint8Array, header: Uint8Array) {
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(this.#state, header, key.subarray(0, KEY_BYTES))
  }
  /** Writes the plaintext of `sealed` into `plain`. Throws when it, its order or `bound` was tampered with. */
  open(sealed: Uint8Array, plain: Uint8Array, bound: Uint8Array): void {
    sodium.crypto_secretstream_xchacha20poly1305_pull(this.#state, plain, this.#tag, sealed, bound)
  }
}
