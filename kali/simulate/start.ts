// Loaded late: a shell that simulates nothing does not load what does.

import type { SimulateOptions, SimulateReport } from './contract.ts'

export async function simulate(options: SimulateOptions): Promise<SimulateReport> {
  return (await import('./simulation.ts')).simulate(options)
}
