// The stage of an experiment: a lab of five hosts of its own, a connection to its first node, and all of it taken away again,
// also after Ctrl-C.

import { LIMITS } from '../../../fabric/base.ts'
import type { DataCenter, Pool } from '../../../kali/contract.ts'
import { CLI } from '../../errors.ts'
import type { Shell } from '../../session.ts'
import type { LabDriver, LabRecord } from '../contract.ts'
import { labDown, labUp } from '../lab.ts'
import type { LabWorld } from '../lab.ts'
import { runIn } from '../namespaces.ts'
import { hostOf, readRecord } from '../record.ts'
import { labWorld } from '../shell.ts'

export interface Stage {
  readonly world: LabWorld
  readonly record: LabRecord
  readonly dc: DataCenter
  readonly signal: AbortSignal
  readonly driver: LabDriver
  tell(step: string, ratio?: number): void
  pause(): Promise<void>
}
export interface StageOptions { readonly name: string; readonly driver: LabDriver; readonly keep: boolean }

const HOSTS = 5

/** Raises the lab, does the work, and takes the lab down whatever happened, unless it is to be kept. */
export async function onStage<T>(shell: Shell, { name, driver, keep }: StageOptions, work: (stage: Stage) => Promise<T>): Promise<T> {
  const { world: { clock }, interrupt, out } = shell
  const ours = new AbortController()
  // The first Ctrl-C takes the lab down in its own time; a second one leaves at once.
  interrupt.divert(() => { if (ours.signal.aborted) return false; ours.abort(CLI.INTERRUPTED({})); out.note('taking the lab down ...'); return true })
  interrupt.signal.addEventListener('abort', () => ours.abort(interrupt.signal.reason), { once: true })
  const { signal } = ours
  const world: LabWorld = { ...labWorld(shell, { name }), signal }
  if (await readRecord(world.directory) !== undefined) throw CLI.LAB_REFUSED({ what: `The lab ${name} is there already`, reason: 'an experiment makes one of its own', advice: `Remove it: kumoi lab down --name ${name}.` })
  const tell = (step: string, ratio?: number): void => out.progress.show(step, ratio)
  const pause = (): Promise<void> => new Promise<void>((resolve, reject) => { signal.throwIfAborted(); clock.after(LIMITS.figurePauseMs, () => (signal.aborted ? reject(signal.reason) : resolve())) })
  let raised: LabRecord | undefined, dc: DataCenter | undefined
  try {
    const { record } = await labUp(world, { name, directory: world.directory, hosts: HOSTS, driver, switch: 'linux', signal, onProgress: (step, done, total) => tell(`lab: ${step}`, done / total) })
    raised = record
    dc = await (await world.kali()).connect({ data: hostOf(record, undefined).data, defaults: { timeoutMs: LIMITS.figureCallTimeoutMs, signal }, onConsole: () => {} })
    return await work({ world, record, dc, signal, driver, tell, pause })
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  } finally {
    await dc?.close().catch(() => {})
    if (raised !== undefined && keep) out.note(`The lab is kept: eval "$(kumoi lab env --name ${name})"; kumoi lab down --name ${name} removes it.`)
    if (raised !== undefined && !keep) {
      tell('taking the lab down')
      await labDown(world, raised)
    }
    out.progress.stop()
  }
}

/** A pool of these hosts, with nothing in it. */
export async function makePool({ dc, tell }: Stage, name: string, hosts: readonly string[]): Promise<Pool> {
  tell('making the pool')
  const cloud = dc.global
  const pool = await cloud.add(await cloud.createPool({ name }))
  await pool.add((await dc.pms).filter((pm) => hosts.includes(pm.name)))
  return pool
}

/** kill -9 of the emulator of a VM, by the process id that its libvirtd wrote down. */
export async function killEmulator({ record, signal }: Stage, host: string, vm: string): Promise<void> {
  await runIn({ record, signal }, host, ['sh', '-c', 'kill -9 "$(cat "$0")"', `/run/libvirt/qemu/${vm}.pid`], `Killing the emulator of ${vm}`)
}
