// Starts a sandbox; loaded late, so that a shell that only ships functions does not load what runs them.

import type { Sandbox, WallReport } from '../contract.ts'
import type { SandboxOptions } from './sandbox.ts'

export type { SandboxOptions } from './sandbox.ts'

export async function createSandbox(options: SandboxOptions): Promise<Sandbox> {
  return (await import('./sandbox.ts')).createSandbox(options)
}

/** Which walls around cells this machine allows; takes about a second. */
export async function examineCells(): Promise<readonly WallReport[]> {
  return await (await import('./examine.ts')).examineCells()
}
