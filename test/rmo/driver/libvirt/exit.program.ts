// Ends with status 7 at a moment of its libvirt event thread's life (exit.test.ts).

import { acquireEventLoop } from '../../../../rmo/driver/libvirt/events.ts'

const [moment, waitMs] = process.argv.slice(2)
const loop = acquireEventLoop()
if (moment === 'at-work') await loop
// The main thread stands still: it hears nothing of the thread meanwhile.
else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(waitMs))
process.exit(7)
