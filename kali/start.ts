// Starts a node without making every program that only connects load one: hyperswarm, the sandbox and
// the drivers are most of the start-up time of a process.

import type { RunningNode, StartNodeOptions } from './contract.ts'

/** Starts a node in this process. Rejects with a coded error when it cannot found, join or listen. */
export async function startNode(options: StartNodeOptions): Promise<RunningNode> {
  return (await import('./node.ts')).startNode(options)
}
