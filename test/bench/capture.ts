// What capture and the value codec cost here, in this process. The two figures with a target are the
// captures; the rest are asides, for whoever changes the codec.

import { capture } from '../../functions/capture/mod.ts'
import { decodeValue, encodeArray, encodeValue, linkProgram, scanValue } from '../../functions/value/mod.ts'
import { high, low, standalone } from './figure.ts'
import type { Bench, Figure } from './figure.ts'

const US_PER_MS = 1_000
const US_PER_S = 1_000_000

function samples(rounds: number, run: () => void): number[] {
  for (let i = 0; i < rounds / 5; i++) run()
  const times: number[] = []
  for (let i = 0; i < rounds; i++) {
    const start = performance.now()
    run()
    times.push((performance.now() - start) * US_PER_MS)
  }
  return times
}

interface Asked { readonly name: string; readonly unit: 'us' | 'items/s'; readonly count: number; readonly target?: number; readonly perSample?: number }

function measure({ name, unit, count, target, perSample = 1 }: Asked, run: () => void): Figure {
  const times = samples(count, run)
  const spread = unit === 'us' ? low(times.map((us) => us / perSample)) : high(times.map((us) => perSample * US_PER_S / us))
  return { name, what: name, unit, ...spread, peers: [], ...(target === undefined ? {} : { toReach: `p50 <= ${target} us`, reached: spread.p50 <= target }) }
}

const [one, two, three, four, five, six, seven, eight] = [1, 's', { x: 1 }, [1, 2], true, null, 7n, 1.5]
const eightVariables = (x: number) => [one, two, three, four, five, six, seven, eight, x]
const noCaptures = (x: number) => x * 2
const helper = (x: number): number => x + (one ?? 0)
const withHelper = (x: number) => helper(x)
const text = new TextDecoder().decode(capture(eightVariables).program.code)
const environment = capture(eightVariables).environment.bytes

function figures(): Figure[] {
  const all: Figure[] = []
  const report = (asked: Asked, run: () => void): void => { all.push(measure(asked, run)) }
  report({ name: 'capture, 8 variables', unit: 'us', count: 500, target: 500 }, () => { capture(eightVariables) })
  report({ name: 'capture, no captures', unit: 'us', count: 200, target: 5, perSample: 1_000 }, () => { for (let i = 0; i < 1_000; i++) capture(noCaptures) })
  report({ name: 'capture, function and helper', unit: 'us', count: 500 }, () => { capture(withHelper) })
  report({ name: 'first capture of a source text', unit: 'us', count: 200 }, () => { capture(new Function('x', `return x + ${Math.random()}`) as () => unknown) })
  report({ name: 'link, 8 variables', unit: 'us', count: 500 }, () => { linkProgram(text, environment) })

  const integers = Array.from({ length: 100_000 }, (_, i) => i * 7)
  const records = Array.from({ length: 1_000 }, (_, i) => ({ name: `vm${i}`, cpuRatio: i / 7, state: 'running', tags: ['a', 'b'], memoryMiB: i }))
  const dated = records.map((record) => ({ ...record, since: new Date(0) }))
  for (const [name, items] of [['integers', integers], ['records', records], ['records with a Date', dated]] as const) {
    const bytes = encodeArray(items)
    const figure = { unit: 'items/s', count: 50, perSample: items.length } as const
    report({ name: `encode ${name}`, ...figure }, () => { encodeArray(items) })
    report({ name: `decode ${name}`, ...figure }, () => { decodeValue(bytes) })
    report({ name: `scan ${name}`, ...figure }, () => { scanValue(bytes) })
  }
  const small = { kind: 'VM', cpuRatio: 0.5 }
  const smallBytes = encodeValue(small)
  report({ name: 'encode a small object', unit: 'us', count: 200, perSample: 1_000 }, () => { for (let i = 0; i < 1_000; i++) encodeValue(small) })
  report({ name: 'decode a small object', unit: 'us', count: 200, perSample: 1_000 }, () => { for (let i = 0; i < 1_000; i++) decodeValue(smallBytes) })
  return all
}

export const bench: Bench = { name: 'capture', run: async () => figures() }

if (import.meta.main) await standalone(bench)
