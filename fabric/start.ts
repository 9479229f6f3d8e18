// Starts the fabric part of a node; loaded late, so that a shell that only connects does not load the
// transports, the log writer and their native parts.

import type { FabricNode, FabricNodeOptions } from './node.ts'

export async function startFabricNode(options: FabricNodeOptions): Promise<FabricNode> {
  return (await import('./node.ts')).startFabricNode(options)
}
