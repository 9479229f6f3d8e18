// A cell's main thread: owns the piscina pool and nothing else. Each lane is one long-lived piscina task
// that speaks to the kernel over a socketpair of its own (descriptor 4, 5, ...), so that a call pays one
// process hop and no thread hop; the second lane's thread starts only when the kernel asks for it.
// Descriptor 3 is the control pipe: one byte starts a lane, end of file means that the kernel is gone.

import { Socket } from 'node:net'
import { createLanePool } from './lane-pool.ts'

const settings = JSON.parse(process.argv[2] ?? '{}') as { worker: string; prelude: string; shapes: string; lanes: number; spares: number; warm: number }
const pool = createLanePool(settings.worker, settings.lanes)

const control = new Socket({ fd: 3, readable: true, writable: true })
control.on('data', (bytes: Buffer) => {
  for (const lane of bytes) {
    pool.run({ fd: 4 + lane, prelude: settings.prelude, shapes: settings.shapes, spares: settings.spares, warm: settings.warm }).then(() => process.exit(0), () => process.exit(70))
  }
})
control.on('end', () => process.exit(0))
control.on('error', () => process.exit(0))
