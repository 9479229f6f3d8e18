// Simulated guests: load traces, counters, what they answer. Pure, by property.

import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { seededRandom } from '../../../fabric/base.ts'
import { answerLine, bootGuest, burnGuest, cpuTimeMs, diskTimeMs, guestTime, hangGuest, isUp, loadRatio, memoryUsedMiB, pauseGuest, rebootGuest, resumeGuest, slowGuest } from '../../../rmo/driver/memory/guest.ts'
import type { Guest } from '../../../rmo/driver/memory/guest.ts'
import { busyUntil, gentleTrace, ratioAt, traceOf } from '../../../rmo/driver/memory/trace.ts'

const NAMES = { hostname: 'web1', instanceId: 'i-1' }
const traces = fc.record({ ratios: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 8 }), stepMs: fc.integer({ min: 1, max: 5_000 }) })
const near = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(a), Math.abs(b))
const plain = (ratio: number, bootMs = 0): Guest => bootGuest({ trace: traceOf([ratio], 1_000), vcpus: 2, memoryMiB: 100, bootMs, slowness: 1 }, 0)

test('busy time is the sum over the steps of the trace', (t) => {
  fc.assert(fc.property(traces, fc.integer({ min: 0, max: 30_000 }), ({ ratios, stepMs }, ms) => {
    const trace = traceOf(ratios, stepMs)
    let sum = 0
    for (let at = 0; at < ms; at++) sum += ratioAt(trace, at)
    return near(busyUntil(trace, ms), sum)
  }), { numRuns: 50 })
  t.end()
})

test('a gentle trace is the same for the same seed, and gentle', (t) => {
  fc.assert(fc.property(fc.integer(), (seed) => {
    const { ratios } = gentleTrace(seededRandom(seed))
    t.strictSame([...ratios], [...gentleTrace(seededRandom(seed)).ratios])
    return ratios.every((ratio) => ratio >= 0 && ratio < 0.7)
  }), { numRuns: 50 })
  t.end()
})

test('counters never fall, and never outrun the clock, whatever is done to the guest', (t) => {
  const steps = fc.array(fc.record({ afterMs: fc.integer({ min: 0, max: 20_000 }), what: fc.constantFrom('pause', 'resume', 'burn', 'hang', 'reboot', 'slow', 'nothing') }), { maxLength: 30 })
  fc.assert(fc.property(traces, steps, ({ ratios, stepMs }, todo) => {
    let nowMs = 1_000
    let guest = bootGuest({ trace: traceOf(ratios, stepMs), vcpus: 3, memoryMiB: 64, bootMs: 700, slowness: 1 }, nowMs)
    const act: Readonly<Record<string, (guest: Guest) => Guest>> = {
      pause: (g) => pauseGuest(g, nowMs), resume: (g) => resumeGuest(g, nowMs), burn: (g) => burnGuest(g, 3_000, nowMs), hang: (g) => hangGuest(g, nowMs),
      reboot: (g) => rebootGuest(g, nowMs), slow: (g) => slowGuest(g, 4, nowMs), nothing: (g) => g,
    }
    let before = { cpu: 0, disk: 0, time: 0 }
    for (const { afterMs, what } of todo) {
      nowMs += afterMs
      guest = act[what]?.(guest) ?? guest
      const now = { cpu: cpuTimeMs(guest, nowMs), disk: diskTimeMs(guest, cpuTimeMs(guest, nowMs)), time: guestTime(guest, nowMs) }
      t.ok(now.cpu >= before.cpu - 1e-6 && now.disk >= before.disk - 1e-6 && now.time >= before.time, what)
      t.ok(now.cpu - before.cpu <= 3 * (now.time - before.time) + 1e-6, 'no more than its vcpus can do')
      before = now
    }
  }), { numRuns: 100 })
  t.end()
})

test('boot and burn are full load, the trace is in between, a pause is none', (t) => {
  const guest = plain(0.25, 1_000)
  t.equal(cpuTimeMs(guest, 1_000), 2_000, 'two vcpus, a second of boot')
  t.equal(cpuTimeMs(guest, 5_000), 2_000 + 2 * 0.25 * 4_000)
  t.equal(loadRatio(guest, 500), 1)
  t.equal(loadRatio(guest, 1_500), 0.25)
  const burning = burnGuest(guest, 2_000, 5_000)
  t.equal(loadRatio(burning, 6_000), 1)
  t.equal(loadRatio(burning, 7_000), 0.25)
  t.equal(cpuTimeMs(burning, 7_000), cpuTimeMs(guest, 5_000) + 4_000)
  t.equal(cpuTimeMs(burnGuest(burning, 0, 6_000), 8_000), cpuTimeMs(guest, 5_000) + 2_000 + 1_000, 'told to stop')
  const paused = pauseGuest(guest, 3_000)
  t.equal(loadRatio(paused, 4_000), 0)
  t.equal(cpuTimeMs(paused, 1e9), cpuTimeMs(guest, 3_000))
  t.equal(cpuTimeMs(resumeGuest(paused, 10_000), 12_000), cpuTimeMs(guest, 5_000), 'its time stood still')
  t.end()
})

test('a hung guest is busy, deaf and says nothing of its memory until it is reset', (t) => {
  const hung = hangGuest(plain(0.1), 1_000)
  t.equal(loadRatio(hung, 1e9), 1)
  t.equal(memoryUsedMiB(hung, 2_000), undefined)
  const reset = rebootGuest(hung, 3_000)
  t.ok(isUp(reset, 3_000))
  t.equal(loadRatio(reset, 4_000), 0.1)
  t.ok((memoryUsedMiB(reset, 4_000) ?? 0) > 0)
  t.end()
})

test('it answers on its console', (t) => {
  const guest = plain(0)
  const say = (line: string, nowMs = 61_500): string => answerLine(guest, NAMES, line, nowMs).text
  t.equal(say('hostname'), 'web1\r\n')
  t.equal(say('instance'), 'i-1\r\n')
  t.equal(say(' uptime '), 'up 61 seconds\r\n')
  t.equal(say(''), '')
  t.match(say('rm -rf /'), /not found/)
  for (const bad of ['burn', 'burn x', 'burn -1']) t.match(say(bad), /usage/)
  t.equal(loadRatio(answerLine(guest, NAMES, 'burn on', 0).guest, 1e12), 1)
  t.equal(loadRatio(answerLine(answerLine(guest, NAMES, 'burn on', 0).guest, NAMES, 'burn off', 5).guest, 10), 0)
  fc.assert(fc.property(fc.string(), (line) => typeof say(line) === 'string'), { numRuns: 200 })
  t.end()
})
