// Rebalancing by measured load, rarely (cloud.md 8.14): one VM off the busiest machine when it is well above the mean for a
// while and the move helps enough.
//
//   busiest - mean over `threshold`, `hold` rounds in a row -> the one move that lowers the peak most -> at least `gain`?
//
// Rules and room by the mandatory filters; a VM that was moved rests; the pool's limits of migrations hold. After a move the
// rounds count from none: what it did must first be seen.

import type { Decide, MachineView, PoolSnapshot, VmView } from '../cloud/contract.ts'
import { Board } from '../placement/board.ts'
import { isAwake, isMovable, migrationsLeft, stillResting, targetsOf } from './moves.ts'
import type { Moved } from './moves.ts'

export interface RebalanceOptions {
  /** Load (0 to 1) of the busiest machine above the mean of all. */
  readonly threshold: number
  /** Rounds in a row. */
  readonly hold: number
  /** By how much a move has to lower the higher load of the two machines. */
  readonly gain: number
  readonly restMs: number
}
export const REBALANCE_OPTIONS: RebalanceOptions = { threshold: 0.25, hold: 3, gain: 0.1, restMs: 3_600_000 }

export interface RebalanceMemory { readonly hits: number; readonly hot?: string; readonly moved: Moved }
interface BestMove { readonly vm: VmView; readonly to: MachineView; readonly gain: number }

export function rebalance(options: Partial<RebalanceOptions> = {}): Decide<RebalanceMemory> {
  const { threshold, hold, gain, restMs } = { ...REBALANCE_OPTIONS, ...options }
  return ({ snapshot, memory }) => {
    const { atMs, machines, pool, mode } = snapshot
    const moved = stillResting(memory?.moved, atMs, restMs)
    const awake = machines.filter(isAwake)
    const [hot] = awake.toSorted((a, b) => b.cpuRatio - a.cpuRatio || (a.uuid < b.uuid ? -1 : 1))
    const mean = awake.reduce((sum, { cpuRatio }) => sum + cpuRatio, 0) / Math.max(1, awake.length)
    if (hot === undefined || mode !== 'armed' || hot.cpuRatio - mean <= threshold) return { proposals: [], memory: { hits: 0, moved } }
    const hits = memory?.hot === hot.uuid ? memory.hits + 1 : 1
    const notes = { [pool.uuid]: { hot: hot.name, hits, hold } }
    if (hits < hold || migrationsLeft(snapshot, hot.uuid) === 0) return { proposals: [], memory: { hits: Math.min(hits, hold), hot: hot.uuid, moved }, notes }
    const best = bestMove(snapshot, hot, moved)
    if (best === undefined || best.gain < gain) return { proposals: [], memory: { hits: hold, hot: hot.uuid, moved }, notes: { [pool.uuid]: { ...notes[pool.uuid], held: best === undefined ? 'none of its VMs can be moved now' : 'no single move helps enough' } } }
    return {
      proposals: [{
        action: { do: 'migrate', vm: best.vm.uuid, epoch: best.vm.epoch, to: best.to.uuid },
        reason: `${hot.name} carries ${percent(hot.cpuRatio)}, the mean is ${percent(mean)}: ${best.vm.name} to ${best.to.name} lowers the peak by ${percent(best.gain)}`,
      }],
      memory: { hits: 0, moved: { ...moved, [best.vm.uuid]: atMs } }, notes,
    }
  }
}

/** The greatest gain; of equal ones the VM with the least memory, which is the least to copy, to the machine that carries least. */
const isBetter = (a: BestMove, b: BestMove): boolean => (a.gain - b.gain || b.vm.memoryMiB - a.vm.memoryMiB || b.to.cpuRatio - a.to.cpuRatio) > 0

function bestMove(snapshot: PoolSnapshot, hot: MachineView, moved: Moved): BestMove | undefined {
  const board = new Board(snapshot)
  let best: BestMove | undefined
  for (const vm of snapshot.vms) {
    if (vm.machine !== hot.uuid || vm.cpuRatio === undefined || !isMovable(vm, moved)) continue
    const load = vm.cpuRatio * vm.vcpus
    for (const to of targetsOf(snapshot, board, vm)) {
      if (migrationsLeft(snapshot, to.uuid) === 0) continue
      const gain = hot.cpuRatio - Math.max(hot.cpuRatio - load / Math.max(1, hot.cores), to.cpuRatio + load / Math.max(1, to.cores))
      const move = { vm, to, gain }
      if (best === undefined || isBetter(move, best)) best = move
    }
  }
  return best
}

const percent = (ratio: number): string => `${Math.round(ratio * 100)} %`
