// Those who knock at a node's listener and mean no good, in a process of their own (doors.ts starts it).
//
//   flood: connections a second that send a first handshake message with a key nobody lists; answers are not read
//   slow:  connections that say nothing, half a message, a byte a second, or announce more than there may be; tells when each was cut

import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { systemRandom } from '../../fabric/clock.ts'
import { generateKeys } from '../../fabric/identity/keys.ts'
import { splitAddress } from '../../fabric/transport/address.ts'
import { startHandshake } from '../../fabric/transport/cipher.ts'

export interface AttackOrder { readonly attack: 'flood' | 'slow'; readonly target: string; readonly node: string; readonly perSecond: number; readonly seconds: number; readonly count: number; readonly sources: number }
export interface AttackReport { readonly tried: number; readonly opened: number; readonly cut: number; readonly slowestCutMs: number }

const OPENINGS = 256
/** Own sockets at once: above them a flood waits for its own ends, not for the victim. */
const OPEN_MAX = 4_000
const TICK_MS = 10
const PATIENCE_MS = 15_000

async function attack({ attack: kind, target, node, perSecond, seconds, count, sources }: AttackOrder): Promise<AttackReport> {
  const address = splitAddress(target)
  if (address === undefined) throw new Error(`${target} is no address`)
  const report = { tried: 0, opened: 0, cut: 0, slowestCutMs: 0 }
  const open = new Set<Socket>()
  const openings = Array.from({ length: OPENINGS }, () => {
    const message = startHandshake(generateKeys(systemRandom), Buffer.from(node, 'hex')).send()
    const framed = Buffer.alloc(2 + message.byteLength)
    framed.writeUInt16BE(message.byteLength, 0)
    framed.set(message, 2)
    return framed
  })
  const knock = (say: (socket: Socket) => void): void => {
    const source = report.tried++ % sources
    const beganMs = performance.now()
    const socket = connect({ ...address, localAddress: `127.${1 + (source >> 16)}.${(source >> 8) & 255}.${1 + (source & 127)}` }, () => { report.opened++; say(socket) })
    open.add(socket)
    socket.on('error', () => {}).resume().once('close', () => {
      open.delete(socket)
      report.cut++
      report.slowestCutMs = Math.max(report.slowestCutMs, performance.now() - beganMs)
    })
  }
  if (kind === 'flood') {
    const endMs = performance.now() + seconds * 1_000
    for (let beganMs = performance.now(), due = 0; performance.now() < endMs;) {
      due = ((performance.now() - beganMs) / 1_000) * perSecond
      while (report.tried < due && open.size < OPEN_MAX) knock((socket) => { socket.write(openings[report.tried % OPENINGS] as Buffer) })
      await new Promise((resolve) => { setTimeout(resolve, TICK_MS) })
    }
  } else {
    const ways: readonly ((socket: Socket) => void)[] = [
      () => {}, (socket) => { socket.write(Uint8Array.of(0, 48, 1, 2)) }, (socket) => { socket.write(Uint8Array.of(0xff, 0xff, 1)) },
      (socket) => {
        const drip = setInterval(() => { socket.write(Uint8Array.of(0)) }, 1_000)
        socket.once('close', () => clearInterval(drip))
      },
    ]
    for (let at = 0; at < count; at++) {
      knock(ways[at % ways.length] ?? (() => {}))
      if (at % 100 === 99) await new Promise((resolve) => { setTimeout(resolve, TICK_MS) })
    }
    const endMs = performance.now() + PATIENCE_MS
    while (open.size > 0 && performance.now() < endMs) await new Promise((resolve) => { setTimeout(resolve, TICK_MS) })
  }
  const result = { ...report }
  for (const socket of open) socket.destroy()
  return result
}

if (process.send !== undefined) {
  process.on('message', (order: AttackOrder) => { void attack(order).then((report) => process.send?.(report)) })
  process.on('disconnect', () => process.exit(0))
}
