// Starts a sandbox; loaded late, so that a shell that only ships functions does not load what runs them.

import type { Sandbox } from '../contract.ts'
import type { SandboxOptions } from './sandbox.ts'

export type { SandboxOptions } from './sandbox.ts'

export async function createSandbox(options: SandboxOptions): Promise<Sandbox> {
  return (await import('./sandbox.ts')).createSandbox(options)
}
