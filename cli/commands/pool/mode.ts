// `kumoi pool drain|maintain|serve POOL MACHINE...`: out of service and back, by live migration.

import { LIMITS } from '../../../fabric/base.ts'
import type { Pool } from '../../../kali/contract.ts'
import { findPool, pickMachines } from '../../cloud.ts'
import { defineCommand } from '../../command.ts'
import type { AnyCommand } from '../../command.ts'
import { CLI } from '../../errors.ts'
import { withDataCenter } from '../../session.ts'
import type { Shell } from '../../session.ts'
import { sideBySide } from '../../side-by-side.ts'

interface Verb { readonly summary: string; readonly details: string; readonly doing: string; readonly done: string; readonly example: string }
const VERBS = {
  drain: { summary: 'Move all VMs off machines, live, and keep them empty', details: 'Ends when the machine is empty, or says what could not be moved. As many migrations at once as the pool allows. Ctrl-C stops waiting: what was begun goes on (`kumoi pool serve` calls it off).', doing: 'draining', done: 'is empty, in maintenance', example: 'before work on it' },
  maintain: { summary: 'Take empty machines out of service: nothing is placed on them', details: 'A machine that runs VMs of the pool is refused: `kumoi pool drain` moves them away first, and ends in maintenance.', doing: 'setting aside', done: 'is in maintenance', example: 'nothing new goes there' },
  serve: { summary: 'Put machines into service again', details: 'Placements may choose it again; a drain that is under way is called off.', doing: 'putting into service', done: 'is in service', example: 'after the work' },
} as const satisfies Readonly<Record<string, Verb>>

/** On a terminal: how many VMs are still there, of how many. */
async function withProgress<T>(shell: Shell, pool: Pool, machines: ReadonlySet<string>, work: () => Promise<T>): Promise<T> {
  const { world: { clock, stderr }, out } = shell
  const left = async (): Promise<number> => (await pool.snapshot()).vms.filter(({ machine }) => machine !== undefined && machines.has(machine)).length
  if (stderr.isTTY !== true) return work()
  const atFirst = await left()
  let timer = clock.after(0, () => {}), over = false
  const look = (): void => {
    timer = clock.after(LIMITS.objectPollMs, () => {
      void left().then((now) => { if (!over) out.progress.show(`${now} of ${atFirst} VMs left`, atFirst === 0 ? 1 : 1 - now / atFirst) }, () => {}).finally(() => { if (!over) look() })
    }, { background: true })
  }
  look()
  try {
    return await work()
  } finally {
    over = true
    timer.cancel()
  }
}

export const modeCommand = (verb: keyof typeof VERBS): AnyCommand => {
  const { summary, details, doing, done, example } = VERBS[verb]
  return defineCommand({
    name: `pool ${verb}`, summary, details,
    operands: '<pool> <machines...>',
    options: {},
    examples: [{ command: `kumoi pool ${verb} hpc host1`, does: example }, { command: `kumoi pool ${verb} hpc 'rack2-*'`, does: 'several, by pattern' }],
    output: 'value',
    run: (shell, [name = '', ...words]) => withDataCenter(shell, async (dc) => {
      const pool = await findPool(dc, shell.out, name)
      // The pool's own list has its dead machines too.
      const machines = await pool.machines
      if (machines.length === 0) throw CLI.NOT_FOUND({ what: `machine in pool ${pool.name} called`, name: words.join(' '), known: [], more: 0 })
      const objects = pickMachines(words, machines)
      return withProgress(shell, pool, new Set(verb === 'drain' ? objects.map(({ uuid }) => uuid) : []), () => sideBySide(shell, { objects, doing, done, work: (machine) => pool[verb](machine) }))
    }),
  })
}
