// What a node costs that has nothing to do: processor share over a while, and memory of the kernel and one
// idle cell. Three nodes are up, so that membership has somebody to watch.
//
// Resident: anonymous pages of both processes, plus every file-backed page (the runtime's own text above
// all) once: it is in memory once, however many processes map it. That figure is compared with the target. The sum
// of Rss counts such pages twice; Pss divides them among all processes of the machine, also those of this bench.

import { readFileSync } from 'node:fs'
import { cpuTicks, descendants } from '../support/fabric-lab.ts'
import type { LabNode } from '../support/fabric-lab.ts'
import { openFabric } from './fabric.ts'
import { low, pause, standalone, withScope } from './figure.ts'
import type { Bench } from './figure.ts'

const WATCH_S = 25
const SETTLE_MS = 4_000
const CPU_PERCENT = 1
const RESIDENT_MIB = 120
const KIB_PER_MIB = 1_024

interface Memory { readonly rss: number; readonly pss: number; readonly anonymous: number; readonly files: ReadonlyMap<string, number> }

/** MiB, from /proc/<pid>/smaps. */
function memoryOf(pid: number): Memory {
  let rss = 0, pss = 0, anonymous = 0, key = ''
  const files = new Map<string, number>()
  for (const line of readFileSync(`/proc/${pid}/smaps`, 'latin1').split('\n')) {
    const mapping = /^[0-9a-f]+-[0-9a-f]+ \S+ (\S+) \S+ (\d+)\s*(.*)$/.exec(line)
    if (mapping !== null) {
      key = mapping[2] === '0' ? '' : `${mapping[3]}@${mapping[1]}`
      continue
    }
    const [, field, kib] = /^(Rss|Pss|Anonymous):\s+(\d+)/.exec(line) ?? []
    const mib = Number(kib) / KIB_PER_MIB
    if (field === 'Rss') {
      rss += mib
      if (key === '') anonymous += mib
      else files.set(key, (files.get(key) ?? 0) + mib)
    } else if (field === 'Pss') pss += mib
    // Written pages of a private file mapping are the process's own.
    else if (field === 'Anonymous' && key !== '') {
      anonymous += mib
      files.set(key, (files.get(key) ?? 0) - mib)
    }
  }
  return { rss, pss, anonymous, files }
}

/** Shared pages once. */
function together(memories: readonly Memory[]): number {
  const files = new Map<string, number>()
  for (const memory of memories) for (const [key, mib] of memory.files) files.set(key, Math.max(files.get(key) ?? 0, mib))
  return memories.reduce((sum, { anonymous }) => sum + anonymous, 0) + [...files.values()].reduce((sum, mib) => sum + mib, 0)
}

interface Parts { readonly kernel: Memory; readonly cell: Memory; readonly spare: Memory | undefined }

/** The elder child is the cell, the younger the spare. */
function partsOf(node: LabNode): Parts {
  const [cell, spare] = descendants(node.pid).filter(({ parent }) => parent === node.pid).map(({ pid }) => pid).sort((a, b) => a - b)
  if (cell === undefined) throw new Error(`${node.name} has no cell`)
  return { kernel: memoryOf(node.pid), cell: memoryOf(cell), spare: spare === undefined ? undefined : memoryOf(spare) }
}

const single = (value: number) => ({ p50: value, best: value, count: 1 })
const describe = (name: string, { rss, pss }: Memory): string => `${name} Rss ${rss.toFixed(0)} Pss ${pss.toFixed(0)}`

export const bench: Bench = {
  name: 'idle',
  run: () => withScope(async (scope) => {
    const { nodes } = await openFabric(scope, ['alpha', 'beta', 'gamma'])
    await pause(SETTLE_MS)
    const ticksOf = (node: LabNode): number => [node.pid, ...descendants(node.pid).map(({ pid }) => pid)].reduce((sum, pid) => sum + cpuTicks(pid), 0)
    const before = nodes.map(ticksOf), startMs = performance.now()
    await pause(WATCH_S * 1_000)
    const seconds = (performance.now() - startMs) / 1_000
    // A tick is 10 ms: ticks a second are percent of a core.
    const cpu = low(nodes.map((node, i) => (ticksOf(node) - (before[i] ?? 0)) / seconds))
    const parts = nodes.map(partsOf)
    const resident = low(parts.map(({ kernel, cell }) => together([kernel, cell])))
    const withSpare = low(parts.map(({ kernel, cell, spare }) => together(spare === undefined ? [kernel, cell] : [kernel, cell, spare])))
    const [one] = parts as [Parts, ...Parts[]]
    const note = [describe('kernel', one.kernel), describe('cell', one.cell), ...(one.spare === undefined ? [] : [describe('spare cell', one.spare)])].join(', ')
    return [
      { name: 'idle-cpu', what: `idle node, processor share over ${WATCH_S} s (kernel, cell and spare)`, toReach: `<= ${CPU_PERCENT} % of a core`, unit: '% of a core', ...cpu, peers: [], reached: cpu.p50 <= CPU_PERCENT, why: 'not profiled' },
      {
        name: 'idle-resident', what: 'idle node, resident memory of kernel and one idle cell, shared pages once', toReach: `<= ${RESIDENT_MIB} MiB`, unit: 'MiB', ...resident, peers: [{ name: 'with the spare cell', ...withSpare }], reached: resident.p50 <= RESIDENT_MIB, note,
        why: `${note}; two V8 heaps and about 45 MiB of the runtime's own text`,
      },
      { name: 'idle-rss', what: 'sum of Rss of kernel and cell', unit: 'MiB', ...single(one.kernel.rss + one.cell.rss), peers: [] },
      { name: 'idle-pss', what: 'sum of Pss of kernel and cell', unit: 'MiB', ...single(one.kernel.pss + one.cell.pss), peers: [] },
    ]
  }),
}

if (import.meta.main) await standalone(bench)
