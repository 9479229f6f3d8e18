// A question before what cannot be taken back. Only people on a terminal are asked: a script has said what it wants.

import { createInterface } from 'node:readline'
import type { Shell } from './session.ts'

/** Whether to go on; "y" and "yes" do. */
export async function confirm({ world, interrupt }: Shell, question: string): Promise<boolean> {
  if (world.stdin.isTTY !== true) return true
  world.stderr.write(`${question} [y/N] `)
  const lines = createInterface({ input: world.stdin })
  try {
    const answer = await interrupt.race(new Promise<string>((resolve) => {
      lines.once('line', resolve)
      lines.once('close', () => resolve(''))
    }))
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    lines.close()
  }
}
