// The short form of million.ts: every reader of unproved bytes, a few thousand inputs.

import { test } from 'tap'
import { seededRandom } from '../../fabric/clock.ts'
import { attempt, DOOR_DECODERS } from './door-decoders.ts'

const INPUTS = 800

for (const decoder of DOOR_DECODERS) {
  test(decoder.name, (t) => {
    const random = seededRandom(7)
    const seen = { read: 0, refused: 0 }
    for (let at = 0; at < INPUTS; at++) {
      const input = decoder.make(random)
      try {
        seen[attempt(decoder, input)]++
      } catch (error) {
        t.fail(`${Buffer.from(input).toString('hex')}: ${String((error as Error).stack)}`)
      }
    }
    t.equal(seen.read + seen.refused, INPUTS, `read ${seen.read}, refused ${seen.refused}`)
    t.end()
  })
}
