// Sandbox figures, without the fabric around it. Times are p50 unless the name says min; the machine is shared, so minima
// say what the path costs and medians what one gets.

import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import type { Socket } from 'node:net'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Piscina } from 'piscina'
import type { Job } from '../../functions/contract.ts'
import { makeHooks, makeJob, never, openSandbox, valuesOf } from '../support/sandbox.ts'
import { REFERENCE } from '../../functions/contract.ts'
import { aside, pause, standalone } from './figure.ts'
import type { Bench, Figure } from './figure.ts'

const quantile = (times: readonly number[], q: number): number => times.toSorted((a, b) => a - b)[Math.floor(times.length * q)] ?? NaN
const hooks = makeHooks()

async function timed(count: number, work: (i: number) => Promise<unknown>): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const start = performance.now()
    await work(i)
    times.push(performance.now() - start)
  }
  return times
}

const residentMiB = (pid: number | 'self', field: 'Pss' | 'Rss'): number =>
  Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1] ?? NaN) / 1024
const cpuTicks = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
  return Number(fields[11]) + Number(fields[12])
}

async function figures(): Promise<Figure[]> {
  const all: Figure[] = []
  const print = (name: string, value: number, unit: string, count: number, aim?: string): void => { all.push(aside(name, value, unit, count, aim)) }
  const { sandbox, close } = await openSandbox()
  const run = (job: Job): Promise<unknown> => sandbox.run(job, hooks, never)
  await sandbox.warm('test')

  // One idle cell, before anything has run in it.
  const idlePid = sandbox.stats().cells[0]?.pid ?? 0
  print('idle cell resident (Rss)', residentMiB(idlePid, 'Rss'), 'MiB', 1)
  print('idle cell resident (Pss)', residentMiB(idlePid, 'Pss'), 'MiB', 1)

  // What one process hop costs on this machine at this moment: an echo over the same kind of pipe.
  const echo = spawn(process.execPath, ['-e', 'const s = new (require("node:net").Socket)({ fd: 3, readable: true, writable: true }); s.on("data", (b) => s.write(b)); s.on("end", () => process.exit())'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] })
  const pipe = echo.stdio[3] as Socket
  const ping = Buffer.alloc(64)
  const bounce = (): Promise<unknown> => new Promise((resolve) => { pipe.once('data', resolve); pipe.write(ping) })
  await timed(300, bounce)
  const hop = await timed(2_000, bounce)
  print('bare echo to a process and back', quantile(hop, 0.5) * 1_000, 'us', hop.length)
  print('bare echo to a process and back, min', Math.min(...hop) * 1_000, 'us', hop.length)
  pipe.destroy()

  // Warm calls.
  const one = makeJob({ source: '(x) => x + 1', items: [1] })
  await timed(500, () => run(one))
  const warm = await timed(2_000, () => run(one))
  print('warm call, one element', quantile(warm, 0.5) * 1_000, 'us', warm.length, '<= 200')
  print('warm call, one element, min', Math.min(...warm) * 1_000, 'us', warm.length)
  const awaiting = makeJob({ source: 'async (x) => x + 1', items: [1] })
  await timed(300, () => run(awaiting))
  const async = await timed(1_000, () => run(awaiting))
  print('warm call, async function', quantile(async, 0.5) * 1_000, 'us', async.length)
  const machine = { [REFERENCE]: { kind: 'PhysicalMachine', uuid: '00000000-0000-8000-8000-000000000001', home: 'a'.repeat(64), name: 'alpha', attributes: { cores: 2 } } }
  const named = makeJob({ source: '(pm) => pm.name', items: [machine] })
  await timed(300, () => run(named))
  const attribute = await timed(1_000, () => run(named))
  print('warm call, attribute of a handle', quantile(attribute, 0.5) * 1_000, 'us', attribute.length)
  const calling = makeJob({ source: '(pm) => pm.exec("x")', items: [machine] })
  await timed(100, () => run(calling))
  const call = await timed(500, () => run(calling))
  print('warm call with one host call', quantile(call, 0.5) * 1_000, 'us', call.length)

  // Functions never seen before.
  const seen: number[] = []
  for (let i = 0; i < 60; i++) {
    const job = makeJob({ source: `(x) => x + ${i} + ${Math.random()}` })
    seen.push(...await timed(1, () => run(job)))
    // Time for the spare to be made again: the figure is for "while a spare is ready".
    await new Promise((resolve) => { setTimeout(resolve, 80) })
  }
  print('never-seen function, spare ready', quantile(seen, 0.5), 'ms', seen.length, '<= 2')
  const bare = await timed(40, (i) => run(makeJob({ source: `(x) => x - ${i} - ${Math.random()}` }, { limits: { heapLimitMiB: 65 } })))
  print('never-seen function, spare ready, min', Math.min(...seen), 'ms', seen.length)
  print('never-seen function, no spare', quantile(bare, 0.5), 'ms', bare.length, '<= 10')

  // Throughput in chunks.
  const CHUNK = 10_000
  const numbers = Array.from({ length: CHUNK }, (_, i) => i)
  const rate = async (name: string, job: Job, items: number, target?: string): Promise<void> => {
    await Promise.all([run(job), run(job), run(job), run(job)])
    const rates: number[] = []
    for (let i = 0; i < 10; i++) {
      const start = performance.now()
      await Promise.all([run(job), run(job), run(job), run(job)])
      rates.push(4 * items / (performance.now() - start) * 1_000)
    }
    print(name, quantile(rates, 0.5), 'items/s', rates.length, target)
  }
  await rate('items in chunks of 10,000 numbers', makeJob({ source: '(x) => x + 1', items: numbers }), CHUNK, '>= 1000000')
  await rate('items in chunks of 1,000 records', makeJob({ source: '(r) => r.id', items: Array.from({ length: 1_000 }, (_, id) => ({ id, name: `n${id}`, tags: ['a', 'b'] })) }), 1_000)
  await rate('range of 65,536 mapped and reduced', makeJob({ source: '(x) => x * x', range: { count: 65_536, start: 0, step: 1 } }, { terminal: 'reduce', operator: '(a, b) => a + b' }), 65_536, '>= 5000000')

  // CPU-bound: 32 tasks of about 25 ms, in turns with plain piscina.
  const cores = availableParallelism()
  const ROUNDS = 20_000_000
  const spinText = '(rounds) => { let x = 1; for (let i = 0; i < rounds; i++) x = Math.imul(x, 1103515245) + 12345 | 0; return x }'
  const plain = new Piscina({ filename: join(import.meta.dirname, 'sandbox-spin.mjs'), minThreads: cores, maxThreads: cores })
  const spin = makeJob({ source: spinText, items: [ROUNDS] })
  const TASKS = 32
  const ours = (): Promise<unknown> => Promise.all(Array.from({ length: TASKS }, () => run(spin)))
  const theirs = (): Promise<unknown> => Promise.all(Array.from({ length: TASKS }, () => plain.run(ROUNDS)))
  await ours()
  await theirs()
  const oursMs: number[] = []
  const theirsMs: number[] = []
  for (let i = 0; i < 4; i++) {
    theirsMs.push(...await timed(1, theirs))
    oursMs.push(...await timed(1, ours))
  }
  await plain.destroy()
  print(`CPU-bound map on ${cores} cores, share of plain piscina's speed`, quantile(theirsMs, 0.5) / quantile(oursMs, 0.5), 'ratio', TASKS, '>= 0.95')
  print('  of which: ours', quantile(oursMs, 0.5), 'ms', TASKS)
  print('  of which: plain piscina', quantile(theirsMs, 0.5), 'ms', TASKS)

  // A killed cell: from the kill to the next answer, with a spare process waiting.
  const back: number[] = []
  for (let i = 0; i < 8; i++) {
    const pid = sandbox.stats().cells.find(({ principal }) => principal === 'test')?.pid ?? 0
    const start = performance.now()
    process.kill(pid, 'SIGKILL')
    let answered: unknown[] = []
    while (answered[0] !== i) answered = valuesOf(await sandbox.run(makeJob({ source: `() => ${i}` }), hooks, never))
    back.push(performance.now() - start)
    await pause(600)
  }
  print('cell killed to next answer, spare ready', quantile(back, 0.5), 'ms', back.length, '<= 1000')
  const cold: number[] = []
  for (let i = 0; i < 5; i++) cold.push(...await timed(1, async () => { await Promise.all([sandbox.warm(`cold-a${i}`), sandbox.warm(`cold-b${i}`)]) }))
  print('two cells at once, one of them without a spare', quantile(cold, 0.5), 'ms', cold.length)

  // Idle cost.
  const pid = sandbox.stats().cells.find(({ principal }) => principal === 'test')?.pid ?? 0
  const before = [cpuTicks(pid), process.cpuUsage()] as const
  await pause(3_000)
  const kernelUs = process.cpuUsage(before[1])
  print('idle CPU of a cell', (cpuTicks(pid) - before[0]) / 3, '% of a core', 1, '<= 1')
  print('idle CPU of the kernel', (kernelUs.user + kernelUs.system) / 30_000, '% of a core', 1, '<= 1')
  await close()
  return all
}

export const bench: Bench = { name: 'sandbox', run: figures }

if (import.meta.main) await standalone(bench)
