// What `kumoi top` knows of one moment, and what whoever looks at it has chosen. Types only.
//
//   gather.ts (asks the node)  -> Fleet -.
//                                        +-> frame.ts -> lines -> terminal
//   keys.ts (what was typed)   -> Look --'

export interface MachineRow { readonly name: string; readonly pool: string; readonly state: string; readonly cpuRatio: number | undefined; readonly memoryUsedMiB: number | undefined; readonly memoryMiB: number | undefined; readonly vms: number; readonly lease: string }
export interface VmRow { readonly name: string; readonly pool: string; readonly machine: string; readonly state: string; readonly cpuRatio: number | undefined; readonly vcpus: number; readonly memoryMiB: number; readonly keptBy: string }
export interface PoolRow { readonly name: string; readonly machines: number; readonly vms: number; readonly inFlight: number; readonly bookedVcpus: number; readonly vcpus: number; readonly bookedMemoryMiB: number; readonly memoryMiB: number; readonly scheduler: string; readonly groups: string }
export interface DecisionRow { readonly atMs: number; readonly pool: string; readonly by: string; readonly what: string; readonly about: string; readonly because: string }

export interface Fleet {
  readonly atMs: number
  readonly mode: string
  readonly pools: readonly PoolRow[]
  readonly machines: readonly MachineRow[]
  readonly vms: readonly VmRow[]
  /** Newest first. */
  readonly decisions: readonly DecisionRow[]
  /** Machines whose part is missing. */
  readonly silent: readonly string[]
}

export const SECTIONS = ['vms', 'machines', 'pools', 'decisions'] as const
export type Section = (typeof SECTIONS)[number]
/** What is looked at: it gets the room that the others leave, and scrolls. */
export interface Look { readonly focus: Section; readonly scroll: number; readonly sort: 'cpu' | 'name' | 'memory'; /** Why the last look failed; the fleet is as it was before. */ readonly problem?: string }
export const FIRST_LOOK: Look = { focus: 'vms', scroll: 0, sort: 'cpu' }
