// Trace ids: 16 hex characters, one for everything that a user's call caused. Unique, not secret: eight
// random characters per process and a counter, because a random id for each call costs as much as encoding it.

import { systemRandom } from '../clock.ts'

const prefix = Buffer.from(systemRandom.bytes(4)).toString('hex')
let count = 0

export function newTrace(): string {
  count = (count + 1) >>> 0
  return prefix + count.toString(16).padStart(8, '0')
}
