// Starts the sandbox of a simulation; loaded late, because it brings isolated-vm into the process.

import type { VirtualSandbox, VirtualSandboxOptions } from './virtual.ts'

export type { Kept, KeptInput, VirtualHooks, VirtualSandbox, VirtualSandboxOptions } from './virtual.ts'

export async function createVirtualSandbox(options: VirtualSandboxOptions): Promise<VirtualSandbox> {
  return (await import('./virtual.ts')).createVirtualSandbox(options)
}
