// Starts a node without making every program that only connects load one: hyperswarm, the sandbox and
// the drivers are most of the start-up time of a process.

import { systemRandom } from '../fabric/base.ts'
import type { WallReport } from '../functions/mod.ts'
import type { RunningNode, StartNodeOptions } from './contract.ts'

/** Starts a node in this process. Rejects with a coded error when it cannot found, join or listen. */
export async function startNode(options: StartNodeOptions): Promise<RunningNode> {
  return (await import('./node.ts')).startNode(options)
}

/** What this machine allows around shipped code, tried without a node; takes about a second. */
export async function examineCells(): Promise<readonly WallReport[]> {
  return await (await import('../functions/mod.ts')).examineCells()
}

/** Public key of the node of a data directory, hex; makes directory and key when there are none. */
export async function nodeKey(data: string): Promise<string> {
  const { openIdentity } = await import('../fabric/mod.ts')
  return (await openIdentity(data, { random: systemRandom })).keys.id
}
