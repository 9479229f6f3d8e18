// RPC figures, without the layers above it.
//
// The Unix-socket figures have the answering end in a process of its own; medians and minima of many
// calls, because neighbours on this kind of machine take up to half of its speed.

import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../fabric/clock.ts'
import { LIMITS } from '../../fabric/limits.ts'
import { decodeRecord, encodeRecord } from '../../fabric/rpc/codec.ts'
import type { RpcPeer } from '../../fabric/rpc/contract.ts'
import { createRpcPeer } from '../../fabric/rpc/peer.ts'
import { createRegistry } from '../../fabric/rpc/registry.ts'
import { connectLocal, listenLocal } from '../../fabric/transport/local.ts'
import { createChannelPair } from '../../fabric/transport/memory-channel.ts'
import { aside, standalone, withScope } from './figure.ts'
import type { Bench, Figure } from './figure.ts'

const caller = { via: 'socket', uid: 0 } as const
const MiB = 1024 * 1024

function registryWithEcho() {
  const registry = createRegistry()
  registry.method('echo', (body) => body)
  registry.stream('source', async (body, _context, stream) => {
    const piece = new Uint8Array(LIMITS.blobChunkBytes)
    for (let sent = 0; sent < Number(body); sent += piece.length) await stream.write(piece)
    return null
  })
  return registry
}

const figures: Figure[] = []
const print = (name: string, value: number, unit: string, count: number, aim?: number): void => { figures.push(aside(name, value, unit, count, aim === undefined ? undefined : String(aim))) }

/** Milliseconds of each of `count` runs, sorted. */
async function times(count: number, run: () => unknown): Promise<number[]> {
  const result: number[] = []
  for (let i = 0; i < count; i++) {
    const startMs = performance.now()
    await run()
    result.push(performance.now() - startMs)
  }
  return result.sort((a, b) => a - b)
}
const p50 = (sorted: readonly number[]): number => sorted[sorted.length >> 1] ?? NaN

async function calls(where: string, peer: RpcPeer, targets: { echoUs: number; mibMs: number }): Promise<void> {
  await times(5_000, () => peer.call('echo', null))
  const small = await times(10_000, () => peer.call('echo', null))
  print(`echo call, ${where}, p50`, p50(small) * 1_000, 'us', small.length, targets.echoUs)
  print(`echo call, ${where}, min`, (small[0] ?? NaN) * 1_000, 'us', small.length)
  const together = await times(50, () => Promise.all(Array.from({ length: 200 }, () => peer.call('echo', null))))
  print(`echo call, ${where}, 200 at once, each`, (p50(together) * 1_000) / 200, 'us', together.length * 200)
  const mib = new Uint8Array(MiB)
  await times(20, () => peer.call('echo', mib))
  const large = await times(60, () => peer.call('echo', mib))
  print(`1 MiB echo, ${where}, p50`, p50(large), 'ms', large.length, targets.mibMs)
  const bytes = 128 * MiB
  const [streamMs = NaN] = await times(1, async () => {
    const stream = peer.open('source', bytes)
    for await (const piece of stream) void piece
  })
  print(`128 MiB stream, ${where}`, bytes / MiB / (streamMs / 1_000), 'MiB/s', 1)
}

async function codec(): Promise<void> {
  const body = [1, 17, 'pm.info', { name: 'alpha', verb: 'info', args: new Uint8Array(40), n: 5 }, 30_000, 'local:0', '0123456789abcdef', 0, null, 0]
  const bytes = encodeRecord(body)
  for (const [name, run] of [['encode', () => encodeRecord(body)], ['decode', () => decodeRecord(bytes)]] as const) {
    for (let i = 0; i < 50_000; i++) run()
    const rounds = await times(40, () => { for (let i = 0; i < 2_500; i++) run() })
    print(`codec: ${name} a small call with a map (${bytes.length} bytes), p50`, (p50(rounds) * 1_000) / 2_500, 'us', 100_000)
    print(`codec: ${name} a small call with a map (${bytes.length} bytes), min`, ((rounds[0] ?? NaN) * 1_000) / 2_500, 'us', 100_000)
  }
}

/** Frames of up to 1 MiB that are made to be slow: the largest of every kind that is still accepted, and refused ones. */
async function hostile(): Promise<void> {
  const frame = (head: readonly number[], rest: Uint8Array): Uint8Array => Uint8Array.from([...head, ...rest])
  const filled = (bytes: number, value: number): Uint8Array => new Uint8Array(bytes).fill(value)
  const array = (count: number): number[] => [0x9a, 0, count >> 16, (count >> 8) & 255, count & 255]
  const text = new TextEncoder().encode('é234567890123')
  const texts = Uint8Array.from({ length: LIMITS.cborWideTextsMax * (text.length + 1) }, (_, i) => (i % (text.length + 1) === 0 ? 0x60 | text.length : text[(i % (text.length + 1)) - 1] ?? 0))
  const keys: Record<string, number> = {}
  for (let i = 0; i < LIMITS.cborKeysMax; i++) keys[`k${i * 7_919}`] = i
  const maps = Array.from({ length: LIMITS.cborMapsMax }, (_, i) => ({ [`a${i & 2047}`]: 1, [`b${i >> 2}`]: 2 }))
  const members = Array.from({ length: 1_000 }, (_, i) => ({ id: `${i}`.repeat(16), name: `node${i}`, state: 'alive', incarnation: i, version: '0.1.0', addresses: ['10.0.0.1:4000'], startedAtMs: 1e12, sinceMs: 1e12, load: { cpuRatio: 0.5, queued: 0 } }))
  const frames: Record<string, Uint8Array> = {
    '65,000 integers': frame(array(65_000), filled(65_000, 1)),
    '8,192 short texts, not ASCII': frame(array(LIMITS.cborWideTextsMax), texts),
    '65,000 short texts': frame(array(65_000), Uint8Array.from({ length: 65_000 * 16 }, (_, i) => (i % 16 === 0 ? 0x6f : 0x61 + ((i >> 4) % 26)))),
    '1,000 members as maps (not hostile)': encodeRecord(members),
    '4,096 different keys': encodeRecord(keys),
    '4,096 maps of different shapes': encodeRecord(maps),
    '4,096 empty maps': frame(array(4_096), filled(4_096, 0xa0)),
    'three texts of 256 KiB, not ASCII': encodeRecord(['é', 'è', 'ê'].map((letter) => letter.repeat(131_072))),
    '1 MiB of empty maps (refused)': frame(array(1_000_000), filled(1_000_000, 0xa0)),
    '1 MiB of nesting (refused)': filled(MiB, 0x81),
    'a bignum of 256 KiB (refused)': frame([0xc2, 0x5a, 0, 4, 0, 0], filled(262_144, 0xff)),
    '1 MiB of text, bad at its end (refused)': frame([0x84, 0x7a, 0, 4, 0, 0], filled(MiB - 6, 0x61)),
  }
  for (const [name, bytes] of Object.entries(frames)) {
    const sorted = await times(25, () => {
      try {
        decodeRecord(bytes)
      } catch { /* refused */ }
    })
    print(`decode, hostile: ${name}, p50`, p50(sorted), 'ms', sorted.length, 10)
  }
}

export const bench: Bench = {
  name: 'rpc',
  run: () => withScope(async (scope) => {
    const directory = await mkdtemp(join(tmpdir(), 'kumoi-bench-'))
    scope.defer(() => rm(directory, { recursive: true, force: true }))
    const path = join(directory, 's')
    const server = spawn(process.execPath, [fileURLToPath(import.meta.url), '--serve', path], { stdio: ['ignore', 'pipe', 'inherit'] })
    scope.defer(() => server.kill())
    await new Promise((ready) => server.stdout.once('data', ready))
    const local = createRpcPeer({ channel: await connectLocal(path, systemClock), caller, registry: createRegistry(), clock: systemClock })
    await calls('Unix socket, two processes', local, { echoUs: 120, mibMs: 5 })
    local.close()
    const [left, right] = createChannelPair()
    createRpcPeer({ channel: right, caller, registry: registryWithEcho(), clock: systemClock })
    const memory = createRpcPeer({ channel: left, caller, registry: createRegistry(), clock: systemClock })
    await calls('in-process channel', memory, { echoUs: 15, mibMs: 5 })
    memory.close()
    await codec()
    await hostile()
    return figures
  }),
}

if (import.meta.main) {
  if (process.argv[2] === '--serve') {
    await listenLocal(process.argv[3] as string, systemClock, (channel, who) => { createRpcPeer({ channel, caller: who, registry: registryWithEcho(), clock: systemClock }) })
    console.log('ready')
  } else await standalone(bench)
}
