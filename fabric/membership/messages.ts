// The membership messages and their bytes on the 'gossip' lane: deterministic, bounded, strict.
//
// Frame: version byte, type byte, then the fields in the order given here. Integers are minimal
// LEB128 varints below 2^53, ids 32 raw bytes, hashes 4 bytes little-endian, texts a varint length and
// UTF-8. One value has one encoding: what decode accepts, encode gives back byte for byte. Every count
// and length is checked against LIMITS before anything is built. Since 0.1.0 (version 1).

import { Buffer } from 'node:buffer'
import { assert } from '../assert.ts'
import { LIMITS } from '../limits.ts'
import { FABRIC } from '../errors-table.ts'
import type { NodeId } from '../id.ts'
import { ACCUSERS_MAX, byWeight } from './record.ts'
import type { Accuser, Load, MemberRecord } from './record.ts'
import type { MemberState } from './contract.ts'

/** The sender's own pulse: rides on every probe, so that neighbours know its load without gossip. */
export interface Beat { readonly incarnation: number; readonly loadNumber: number; readonly load: Load }

export type Message =
  /** Are you there? `hash` is the sender's view hash. Answered by an ack with the same `seq`. */
  | { readonly type: 'ping'; readonly seq: number; readonly hash: number; readonly beat: Beat; readonly news: readonly MemberRecord[] }
  | { readonly type: 'ack'; readonly seq: number; readonly hash: number; readonly beat: Beat; readonly news: readonly MemberRecord[] }
  /** Probe `target` for me. Answered by a relay with the same `seq`. */
  | { readonly type: 'ask'; readonly seq: number; readonly target: NodeId }
  | { readonly type: 'relay'; readonly seq: number; readonly answered: boolean }
  | { readonly type: 'news'; readonly news: readonly MemberRecord[] }
  /** Bucket hashes of the sender's view. Answered by states that hold the differing buckets. */
  | { readonly type: 'digest'; readonly buckets: readonly number[]; readonly news: readonly MemberRecord[] }
  /** Whole records; `wanted` buckets are asked for in return. */
  | { readonly type: 'state'; readonly wanted: readonly number[]; readonly news: readonly MemberRecord[] }

const VERSION = 1
const TYPES = ['ping', 'ack', 'ask', 'relay', 'news', 'digest', 'state'] as const
const STATES: readonly MemberState[] = ['alive', 'suspect', 'dead', 'left']
const ID_BYTES = 32
/** Loads travel as whole thousandths. */
const RATIO_UNITS = 1_000

/** The load as it can travel: ratio in thousandths within [0, 1], whole queue length. */
export const quantisedLoad = (load: Load): Load => ({
  cpuRatio: Number.isFinite(load.cpuRatio) ? Math.round(Math.min(1, Math.max(0, load.cpuRatio)) * RATIO_UNITS) / RATIO_UNITS : 0,
  queued: Number.isFinite(load.queued) ? Math.min(0xffff_ffff, Math.max(0, Math.round(load.queued))) : 0,
})

function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++
  return bytes
}

const textBytes = (text: string): number => {
  const bytes = Buffer.byteLength(text)
  return varintBytes(bytes) + bytes
}

/** Exact encoded size of a record. */
export function recordBytes(record: MemberRecord): number {
  const { profile } = record
  let bytes = ID_BYTES + 2 + varintBytes(record.incarnation) + textBytes(profile.name) + textBytes(profile.version)
    + varintBytes(profile.startedAtMs) + varintBytes(profile.addresses.length) + varintBytes(record.loadNumber)
    + varintBytes(Math.round(record.load.cpuRatio * RATIO_UNITS)) + varintBytes(record.load.queued) + varintBytes(record.ageMs)
  for (const address of profile.addresses) bytes += textBytes(address)
  return bytes + record.accusers.length * (ID_BYTES + 1)
}

const beatBytes = (beat: Beat): number => varintBytes(beat.incarnation) + varintBytes(beat.loadNumber)
  + varintBytes(Math.round(beat.load.cpuRatio * RATIO_UNITS)) + varintBytes(beat.load.queued)

/** Exact encoded size of a message, without encoding it (simulation counts traffic with it). */
export function messageBytes(message: Message): number {
  let bytes = 2
  if (message.type === 'relay') return bytes + varintBytes(message.seq) + 1
  if (message.type === 'ask') return bytes + varintBytes(message.seq) + ID_BYTES
  bytes += varintBytes(message.news.length)
  for (const record of message.news) bytes += recordBytes(record)
  if (message.type === 'ping' || message.type === 'ack') bytes += varintBytes(message.seq) + 4 + beatBytes(message.beat)
  if (message.type === 'digest') bytes += varintBytes(message.buckets.length) + 4 * message.buckets.length
  if (message.type === 'state') bytes += varintBytes(message.wanted.length) + message.wanted.reduce((sum, bucket) => sum + varintBytes(bucket), 0)
  return bytes
}

class Writer {
  readonly bytes: Buffer
  #at = 0
  constructor(size: number) { this.bytes = Buffer.alloc(size) }
  get length(): number { return this.#at }
  byte(value: number): void { this.bytes[this.#at++] = value }
  varint(value: number): void {
    let rest = value
    while (rest >= 128) { this.byte((rest % 128) | 128); rest = Math.floor(rest / 128) }
    this.byte(rest)
  }
  word(value: number): void { this.#at = this.bytes.writeUInt32LE(value >>> 0, this.#at) }
  id(id: NodeId): void {
    const written = this.bytes.write(id, this.#at, ID_BYTES, 'hex')
    assert(written === ID_BYTES, 'a node id is 64 hex characters')
    this.#at += written
  }
  text(text: string): void {
    this.varint(Buffer.byteLength(text))
    this.#at += this.bytes.write(text, this.#at, 'utf8')
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

class Reader {
  readonly #bytes: Buffer
  #at = 0
  constructor(bytes: Uint8Array) { this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) }
  fail(reason: string): never { throw FABRIC.BAD_GOSSIP({ reason, offset: this.#at, bytes: this.#bytes.length }) }
  byte(): number { return this.#bytes[this.#at++] ?? this.fail('it ends in the middle of a field') }
  varint(max: number, what: string): number {
    let value = 0, scale = 1
    for (;;) {
      const byte = this.byte()
      value += (byte & 127) * scale
      if (value > max) this.fail(`${what} is above ${max}`)
      if (byte < 128) {
        if (byte === 0 && scale > 1) this.fail(`${what} is not in its shortest form`)
        return value
      }
      scale *= 128
      if (scale > Number.MAX_SAFE_INTEGER) this.fail(`${what} is too long`)
    }
  }
  word(): number { return this.#slice(4).readUInt32LE() }
  id(): NodeId { return this.#slice(ID_BYTES).toString('hex') }
  text(max: number, what: string): string {
    const slice = this.#slice(this.varint(max, `length of ${what}`))
    try { return utf8.decode(slice) } catch { return this.fail(`${what} is not UTF-8`) }
  }
  flag(what: string): boolean {
    const byte = this.byte()
    return byte > 1 ? this.fail(`${what} is neither 0 nor 1`) : byte === 1
  }
  list<T>(max: number, what: string, read: () => T): T[] {
    return Array.from({ length: this.varint(max, `number of ${what}`) }, read)
  }
  end(): void { if (this.#at !== this.#bytes.length) this.fail('bytes follow its end') }
  #slice(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) this.fail('it ends in the middle of a field')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }
}

function writeLoad(out: Writer, loadNumber: number, load: Load): void {
  out.varint(loadNumber)
  out.varint(Math.round(load.cpuRatio * RATIO_UNITS))
  out.varint(load.queued)
}

function writeRecord(out: Writer, record: MemberRecord): void {
  const { profile } = record
  out.id(record.id)
  out.byte(STATES.indexOf(record.state))
  out.varint(record.incarnation)
  out.text(profile.name)
  out.text(profile.version)
  out.varint(profile.startedAtMs)
  out.varint(profile.addresses.length)
  for (const address of profile.addresses) out.text(address)
  writeLoad(out, record.loadNumber, record.load)
  out.varint(record.ageMs)
  out.byte(record.accusers.length)
  for (const accuser of record.accusers) { out.id(accuser.id); out.byte(accuser.strong ? 1 : 0) }
}

function readLoad(from: Reader): { loadNumber: number; load: Load } {
  const loadNumber = from.varint(Number.MAX_SAFE_INTEGER, 'load number')
  const cpuRatio = from.varint(RATIO_UNITS, 'cpu ratio') / RATIO_UNITS
  return { loadNumber, load: { cpuRatio, queued: from.varint(0xffff_ffff, 'queue length') } }
}

function readRecord(from: Reader): MemberRecord {
  const id = from.id()
  const state = STATES[from.byte()] ?? from.fail('unknown member state')
  const incarnation = from.varint(LIMITS.incarnationMax, 'incarnation')
  const name = from.text(LIMITS.memberNameBytesMax, 'name')
  const version = from.text(LIMITS.memberNameBytesMax, 'version')
  const startedAtMs = from.varint(Number.MAX_SAFE_INTEGER, 'start time')
  const addresses = from.list(LIMITS.memberAddressesMax, 'addresses', () => from.text(LIMITS.memberAddressBytesMax, 'address'))
  const { loadNumber, load } = readLoad(from)
  const ageMs = from.varint(Number.MAX_SAFE_INTEGER, 'age')
  const accusers = from.list(ACCUSERS_MAX, 'accusers', (): Accuser => ({ id: from.id(), strong: from.flag('strength') }))
  if (ageMs > 0 && (state === 'alive' || state === 'suspect')) from.fail('a live member has the age of a tombstone')
  if (accusers.length > 0 && state !== 'suspect') from.fail('a member that is not suspect has accusers')
  if (accusers.some((accuser, i) => i > 0 && byWeight(accusers[i - 1] as Accuser, accuser) >= 0)) from.fail('accusers are not in order')
  return { id, incarnation, state, profile: { name, addresses, version, startedAtMs }, load, loadNumber, accusers, ageMs }
}

/** Message -> frame. The caller keeps it within LIMITS.gossipFrameBytesMax (gossip.ts and sync.ts cut by recordBytes). */
export function encodeMessage(message: Message): Uint8Array {
  const out = new Writer(messageBytes(message))
  out.byte(VERSION)
  out.byte(TYPES.indexOf(message.type))
  if ('seq' in message) out.varint(message.seq)
  switch (message.type) {
    case 'ping': case 'ack':
      out.word(message.hash)
      out.varint(message.beat.incarnation)
      writeLoad(out, message.beat.loadNumber, message.beat.load)
      break
    case 'ask': out.id(message.target); break
    case 'relay': out.byte(message.answered ? 1 : 0); break
    case 'digest':
      out.varint(message.buckets.length)
      for (const hash of message.buckets) out.word(hash)
      break
    case 'state':
      out.varint(message.wanted.length)
      for (const bucket of message.wanted) out.varint(bucket)
      break
    case 'news': break
  }
  if ('news' in message) {
    out.varint(message.news.length)
    for (const record of message.news) writeRecord(out, record)
  }
  return new Uint8Array(out.bytes.buffer, out.bytes.byteOffset, out.length)
}

/** Frame -> message. Throws FABRIC_ERR_BAD_GOSSIP for anything that encodeMessage would not have written. */
export function decodeMessage(frame: Uint8Array): Message {
  const from = new Reader(frame)
  if (frame.length > LIMITS.gossipFrameBytesMax) from.fail(`it is longer than ${LIMITS.gossipFrameBytesMax} bytes`)
  const version = from.byte()
  if (version !== VERSION) from.fail(`its version is ${version}, this node speaks ${VERSION}`)
  const type = TYPES[from.byte()] ?? from.fail('unknown message type')
  const message = readBody(type, from)
  from.end()
  return message
}

function readBody(type: Message['type'], from: Reader): Message {
  const seq = (): number => from.varint(Number.MAX_SAFE_INTEGER, 'sequence number')
  const news = (): MemberRecord[] => from.list(LIMITS.gossipFrameBytesMax / ID_BYTES, 'records', () => readRecord(from))
  switch (type) {
    case 'ping': case 'ack': {
      const head = { type, seq: seq(), hash: from.word() }
      const incarnation = from.varint(LIMITS.incarnationMax, 'incarnation')
      return { ...head, beat: { incarnation, ...readLoad(from) }, news: news() }
    }
    case 'ask': return { type, seq: seq(), target: from.id() }
    case 'relay': return { type, seq: seq(), answered: from.flag('answer') }
    case 'news': return { type, news: news() }
    case 'digest': return { type, buckets: from.list(LIMITS.digestBuckets, 'buckets', () => from.word()), news: news() }
    case 'state': return { type, wanted: from.list(LIMITS.digestBuckets, 'wanted buckets', () => from.varint(LIMITS.digestBuckets - 1, 'bucket')), news: news() }
  }
}
