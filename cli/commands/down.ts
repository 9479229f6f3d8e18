// `kumoi down`: a clean leave, asked of the running node over its local socket.
//
// VMs go on without their node, but protected ones do not: nobody renews the lease that says that they run here and nowhere
// else, so the watchdog ends them within its seconds, and they are started elsewhere. A leave that is meant does not cost
// that by accident: it is refused, or moves them away first.

import { setTimeout as pause } from 'node:timers/promises'
import { LIMITS } from '../../fabric/base.ts'
import type { DataCenter, NodeInfo } from '../../kali/contract.ts'
import { poolsNow } from '../cloud.ts'
import type { PoolNow } from '../cloud.ts'
import { defineCommand } from '../command.ts'
import { CLI, EXIT } from '../errors.ts'
import { withDataCenter } from '../session.ts'
import type { Shell } from '../session.ts'

interface Protects { readonly pool: PoolNow['pool']; readonly machines: readonly { readonly name: string; readonly uuid: string }[]; readonly vms: readonly string[] }

/** What of each pool runs on this node's machines and would be lost with it. */
async function protectedHere(dc: DataCenter, { out }: Shell, node: NodeInfo): Promise<readonly Protects[]> {
  const all = (await poolsNow(dc, out, undefined)).map(({ pool, snapshot }): Protects => {
    const here = snapshot.machines.filter((machine) => machine.node === node.id)
    const vms = snapshot.vms.filter(({ machine, protection, desired }) => protection !== undefined && desired === 'running' && here.some(({ uuid }) => uuid === machine))
    return { pool, machines: here.filter(({ uuid }) => vms.some(({ machine }) => machine === uuid)), vms: vms.map(({ name }) => name) }
  })
  return all.filter(({ vms }) => vms.length > 0)
}

/** Each pool's machines of this node, one pool after the other: they compete for the same network. */
async function drainAll({ out }: Shell, held: readonly Protects[]): Promise<void> {
  for (const { pool, machines } of held) {
    const objects = await pool.machines
    for (const { uuid, name } of machines) {
      const machine = objects.find((each) => each.uuid === uuid)
      if (machine === undefined) continue
      await pool.drain(machine)
      out.note(`${name} is empty, and in maintenance until it is put into service again: kumoi pool serve ${pool.name} ${name}`)
    }
  }
}

export const downCommand = defineCommand({
  name: 'down',
  summary: 'Make the node of this data directory leave the fabric and stop',
  operands: '',
  details: 'The others are told at once. The directory stays: `kumoi up` brings the same node back. VMs go on without it; those that are kept running (`kumoi ha`) end with it and start elsewhere, so a node that has some does not leave without --drain or --force. A SIGTERM does not ask.',
  options: {
    drain: { flags: '--drain', help: 'move its VMs to other machines first, live; leave when it is empty' },
    force: { flags: '--force', help: 'leave at once: protected VMs end here and start elsewhere within half a minute' },
  },
  examples: [
    { command: 'kumoi down', does: 'leave cleanly' }, { command: 'kumoi down --drain', does: 'its VMs move away first' }, { command: 'kumoi --data /srv/beta down', does: 'one of several nodes on this machine' },
  ],
  output: 'value',
  run: (shell, _operands, { drain, force }) => withDataCenter(shell, async (dc) => {
    if (drain === true && force === true) throw CLI.USAGE({ problem: 'kumoi down: --drain and --force do not go together', hint: 'Draining takes the time that it takes; --force does not wait.' })
    const node = await dc.node()
    const held = force === true ? [] : await protectedHere(dc, shell, node)
    if (held.length > 0 && drain !== true) throw CLI.PROTECTED_HERE({ node: node.name, vms: held.flatMap(({ vms }) => vms).toSorted() })
    await drainAll(shell, held)
    await dc.down()
    await gone(node.pid)
    shell.out.result({ name: node.name, id: node.id, state: 'left' }, () => `${node.name} has left`)
    return EXIT.done
  }),
})

/** Waits, within a bound, until the process has ended, so that `up` in the same directory may follow at once. */
async function gone(pid: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < LIMITS.interruptGraceMs && alive(pid); waitedMs += POLL_MS) await pause(POLL_MS)
}

const POLL_MS = 20

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
