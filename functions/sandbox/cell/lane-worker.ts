// Entry of a worker thread: one lane. Reads frames from its own socketpair, runs jobs in isolates, writes
// results back. piscina calls the default export once; it returns when the kernel closes the socket.

import { Socket } from 'node:net'
import { readFileSync } from 'node:fs'
import { LIMITS } from '../../../fabric/limits.ts'
import { FrameBatch } from '../frame-batch.ts'
import { FrameReader, FROM_LANE } from '../frames.ts'
import { Lane } from './lane.ts'

export interface LaneSettings { readonly fd: number; readonly prelude: string; readonly shapes: string; readonly spares: number; readonly warm: number }

export default function runLane(settings: LaneSettings): Promise<void> {
  return new Promise((resolve) => {
    const socket = new Socket({ fd: settings.fd, readable: true, writable: true })
    const frames = new FrameBatch(socket)
    const lane = new Lane({
      prelude: readFileSync(settings.prelude, 'utf8'), shapes: settings.shapes, spares: settings.spares, warm: settings.warm,
      send: (fields) => { if (fields.type === FROM_LANE.call) frames.later(fields); else frames.now(fields) },
    })
    const reader = new FrameReader(LIMITS.cellFrameBytesMax, (frame) => lane.receive(frame))
    socket.on('data', (chunk: Buffer) => { if (!reader.push(chunk)) socket.destroy() })
    socket.on('error', () => {})
    socket.on('close', () => resolve())
    lane.ready()
    frames.now({ type: FROM_LANE.ready })
  })
}
