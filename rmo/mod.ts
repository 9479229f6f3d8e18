// Public names of rmo/.
export type { PhysicalMachine } from './kinds/physical-machine.ts'
