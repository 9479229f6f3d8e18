// A million inputs through every reader of unproved bytes (door-decoders.ts):
//
//   node --expose-gc test/fuzz/million.ts [--inputs 1000000] [--seed 1]
//
// A JSON line a reader and one for all: finds, refused, slowest read, growth of resident memory against the goals of
// reliability.md 8 (0 finds, 10 ms, 20 MB). A read over the goal is made twice more, and the quickest counts: what the
// machine took away in the middle of one is not the reader's. Status 1 when a goal is missed, which is printed as that.

import { parseArgs } from 'node:util'
import { seededRandom } from '../../fabric/clock.ts'
import { attempt, DOOR_DECODERS } from './door-decoders.ts'

const DECODE_MS_MAX = 10
const GROWTH_MIB_MAX = 20
const WARM_INPUTS = 2_000
const AGAIN = 2

const { values } = parseArgs({ options: { inputs: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } } })
const each = Math.ceil(Number(values.inputs) / DOOR_DECODERS.length), seed = Number(values.seed)
const { gc } = globalThis as { readonly gc?: (how: { readonly type: 'major'; readonly execution: 'sync'; readonly flavor: 'last-resort' }) => void }
/** After the engine has given back what it holds in reserve: room for garbage is not growth. */
function residentMiB(): number {
  for (let at = 0; at < 3; at++) gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
  return process.memoryUsage.rss() / 2 ** 20
}

const report = { inputs: 0, finds: 0, slowestMs: 0, growthMiB: 0, heapMiB: 0 }
// What the readers keep for good (compiled code, caches of good chains) is there before the first figure.
for (const decoder of DOOR_DECODERS) for (let at = 0, random = seededRandom(seed + 1_000); at < WARM_INPUTS; at++) attempt(decoder, decoder.make(random))
const beforeMiB = residentMiB()

for (const [index, decoder] of DOOR_DECODERS.entries()) {
  const random = seededRandom(seed + index)
  let refused = 0, finds = 0, slowestMs = 0
  for (let at = 0; at < each; at++) {
    const input = decoder.make(random)
    const timed = (): number => {
      const beganMs = performance.now()
      try {
        if (attempt(decoder, input) === 'refused') refused++
      } catch (error) {
        finds++
        console.error(`find: ${decoder.name} ${Buffer.from(input).toString('hex').slice(0, 4_000)}`, error)
      }
      return performance.now() - beganMs
    }
    let tookMs = timed()
    for (let again = 0; again < AGAIN && tookMs > DECODE_MS_MAX; again++) tookMs = Math.min(tookMs, timed())
    slowestMs = Math.max(slowestMs, tookMs)
  }
  report.inputs += each
  report.finds += finds
  report.slowestMs = Math.max(report.slowestMs, slowestMs)
  console.log(JSON.stringify({ name: `fuzz ${decoder.name}`, inputs: each, refused, finds, slowestMs: Number(slowestMs.toFixed(2)) }))
}
report.growthMiB = residentMiB() - beforeMiB
report.heapMiB = Math.round(process.memoryUsage().heapUsed / 2 ** 20)
const missed = [...(report.finds > 0 ? ['finds'] : []), ...(report.slowestMs > DECODE_MS_MAX ? ['slowest read'] : []), ...(report.growthMiB > GROWTH_MIB_MAX ? ['growth'] : [])]
console.log(JSON.stringify({ name: 'fuzz million', ...report, slowestMs: Number(report.slowestMs.toFixed(2)), growthMiB: Number(report.growthMiB.toFixed(1)), seed, missed }))
process.exitCode = missed.length === 0 ? 0 : 1
