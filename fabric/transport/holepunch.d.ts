// Types of the Holepunch packages, which ship none: only what the transport uses.

declare module 'noise-handshake' {
  export interface NoiseKeyPair { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array }
  export default class NoiseState {
    constructor(pattern: 'XK', initiator: boolean, keys: NoiseKeyPair, options: { readonly curve: object })
    readonly complete: boolean
    /** Remote static key, once known. */
    readonly rs: Uint8Array
    readonly tx: Uint8Array
    readonly rx: Uint8Array
    initialise(prologue: Uint8Array, remoteStatic?: Uint8Array): void
    send(payload?: Uint8Array): Uint8Array
    recv(message: Uint8Array): Uint8Array
  }
}

declare module 'noise-curve-ed' {
  const curve: object
  export default curve
}

declare module 'sodium-universal' {
  interface Sodium {
    readonly crypto_secretstream_xchacha20poly1305_ABYTES: number
    readonly crypto_secretstream_xchacha20poly1305_HEADERBYTES: number
    readonly crypto_secretstream_xchacha20poly1305_KEYBYTES: number
    readonly crypto_secretstream_xchacha20poly1305_STATEBYTES: number
    readonly crypto_secretstream_xchacha20poly1305_TAG_MESSAGE: number
    readonly crypto_box_SEALBYTES: number
    readonly crypto_box_PUBLICKEYBYTES: number
    readonly crypto_box_SECRETKEYBYTES: number
    crypto_sign_ed25519_pk_to_curve25519(curve: Uint8Array, edwards: Uint8Array): void
    crypto_sign_ed25519_sk_to_curve25519(curve: Uint8Array, edwards: Uint8Array): void
    crypto_box_seal(box: Uint8Array, message: Uint8Array, publicKey: Uint8Array): void
    crypto_box_seal_open(message: Uint8Array, box: Uint8Array, publicKey: Uint8Array, secretKey: Uint8Array): boolean
    crypto_secretstream_xchacha20poly1305_init_push(state: Uint8Array, header: Uint8Array, key: Uint8Array): void
    crypto_secretstream_xchacha20poly1305_init_pull(state: Uint8Array, header: Uint8Array, key: Uint8Array): void
    crypto_secretstream_xchacha20poly1305_push(state: Uint8Array, cipher: Uint8Array, message: Uint8Array, data: Uint8Array | null, tag: number): number
    crypto_secretstream_xchacha20poly1305_pull(state: Uint8Array, message: Uint8Array, tag: Uint8Array, cipher: Uint8Array, data: Uint8Array | null): number
  }
  const sodium: Sodium
  export default sodium
}

declare module 'compact-encoding' {
  const encodings: { readonly raw: object }
  export default encodings
}

declare module '@hyperswarm/secret-stream' {
  import type { Duplex } from 'node:stream'
  export default class NoiseSecretStream extends Duplex {
    constructor(isInitiator: boolean, rawStream: Duplex | null, options?: object)
    static keyPair(seed?: Uint8Array): { publicKey: Buffer; secretKey: Buffer }
    readonly opened: Promise<boolean>
    readonly isInitiator: boolean
    readonly rawStream: { readonly remoteHost?: string; readonly remotePort?: number } | null
    readonly publicKey: Buffer
    readonly remotePublicKey: Buffer
    setTimeout(ms: number): void
    setKeepAlive(ms: number): void
  }
}

declare module 'protomux' {
  import type { Duplex } from 'node:stream'
  export interface MuxMessage { send(message: Uint8Array): boolean }
  export interface MuxChannel {
    readonly closed: boolean
    addMessage(options: { readonly encoding: object; readonly onmessage: (message: Uint8Array) => void }): MuxMessage
    open(): void
    close(): void
  }
  export default class Protomux {
    constructor(stream: Duplex)
    static from(stream: Duplex): Protomux
    createChannel(options: {
      readonly protocol: string
      readonly onopen?: () => void
      readonly onclose?: (isRemote: boolean) => void
      readonly ondrain?: () => void
    }): MuxChannel | null
  }
}

declare module 'hyperdht' {
  import type { EventEmitter } from 'node:events'
  import type NoiseSecretStream from '@hyperswarm/secret-stream'
  export interface DhtAddress { readonly host: string; readonly port: number }
  export interface DhtOptions {
    readonly host?: string
    readonly port?: number | readonly [number, number]
    readonly bootstrap?: readonly (string | DhtAddress)[]
    readonly nodes?: readonly DhtAddress[]
    readonly ephemeral?: boolean
    readonly firewalled?: boolean
    readonly anyPort?: boolean
    readonly keyPair?: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array }
    readonly connectionKeepAlive?: number
  }
  export default class DHT extends EventEmitter {
    constructor(options?: DhtOptions)
    static bootstrapper(port: number, host: string, options?: DhtOptions): DHT
    readonly destroyed: boolean
    bind(): Promise<void>
    fullyBootstrapped(): Promise<void>
    address(): DhtAddress
    addNode(node: DhtAddress): void
    toArray(options?: { readonly limit?: number }): DhtAddress[]
    connect(remotePublicKey: Uint8Array, options?: { readonly keyPair?: object; readonly relayAddresses?: readonly DhtAddress[] }): NoiseSecretStream
    destroy(options?: { readonly force?: boolean }): Promise<void>
  }
}

declare module 'hyperswarm' {
  import type { EventEmitter } from 'node:events'
  import type DHT from 'hyperdht'
  import type NoiseSecretStream from '@hyperswarm/secret-stream'
  export interface PeerInfo { readonly publicKey: Uint8Array; readonly banned: boolean; readonly client: boolean; readonly explicit: boolean; ban(banned: boolean): void }
  export default class Hyperswarm extends EventEmitter {
    constructor(options: { readonly dht: DHT; readonly keyPair: object; readonly maxPeers?: number; readonly firewall?: (remotePublicKey: Uint8Array) => boolean })
    readonly peers: Map<string, PeerInfo>
    readonly connections: Set<NoiseSecretStream>
    join(topic: Uint8Array, options: { readonly server: boolean; readonly client: boolean }): { refresh(options?: object): Promise<void>; flushed(): Promise<void> }
    joinPeer(publicKey: Uint8Array): void
    leavePeer(publicKey: Uint8Array): void
    destroy(options?: { readonly force?: boolean }): Promise<void>
  }
}
