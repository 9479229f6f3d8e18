// Machines of a pool: joining with what their hardware has, leaving when nothing names them, and their mode. Emptying one is
// in draining.ts.

import type { ReferenceRecord } from '../../functions/mod.ts'
import type { MachineRecord } from '../cloud/contract.ts'
import type { CloudService } from '../cloud/parts.ts'
import { KALI } from '../errors.ts'
import { bareOf } from './desk.ts'
import type { Desk } from './desk.ts'
import { drain } from './draining.ts'
import { seenOn } from './snapshot.ts'

type MachineVerbs = Pick<CloudService, 'addMachine' | 'removeMachine' | 'setMachineMode'>

const MIB = 1024 * 1024
const positive = (value: unknown): number | undefined => typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : undefined

/** Cores and memory as the machine tells them; memory as its hypervisor counts it, when that is less. */
async function hardwareOf(desk: Desk, { uuid, name, home, attributes }: ReferenceRecord): Promise<Pick<MachineRecord, 'cores' | 'memoryMiB'>> {
  const observation = await desk.observer.read({ fresh: true })
  const place = { uuid, name, node: home }
  const figures = seenOn(observation, 'PhysicalMachine', place)?.[0]?.attributes ?? attributes
  const hypervisors = observation.of('VMM', home)
  const hypervisor = seenOn(observation, 'VMM', place)?.find((each) => hypervisors?.length === 1 || each.name === name)
  const refuse = (reason: string, remedy: string): Error => KALI.MACHINE_REFUSED({ machine: name, doing: 'added to a pool', reason, remedy })
  if (hypervisors !== undefined && hypervisor === undefined) throw refuse('it has no hypervisor', 'Start its node with one (kumoi node --driver ...)')
  const cores = positive(figures.cores), totalBytes = positive(figures.memoryTotalBytes), hypervisorMiB = positive(hypervisor?.attributes.memoryTotalMiB)
  const memoryMiB = Math.floor(Math.min(totalBytes === undefined ? Infinity : totalBytes / MIB, hypervisorMiB ?? Infinity))
  if (cores === undefined || !Number.isFinite(memoryMiB)) throw refuse('its cores and memory are not known: it does not answer', 'Add it when "kumoi machines" shows it alive')
  return { cores, memoryMiB }
}

export function createMachineVerbs(desk: Desk): MachineVerbs {
  const { view, book } = desk
  return {
    async addMachine(pool, machine) {
      desk.poolOf(pool)
      const taken = view.machine(machine.uuid)
      if (taken !== undefined) throw KALI.MACHINE_TAKEN({ machine: machine.name, pool: view.pool(taken.pool)?.name ?? taken.pool })
      const { uuid, name, home } = machine
      return bareOf(await desk.seen(await book.joinMachine({ uuid, name, node: home, pool, mode: 'in-service', ...await hardwareOf(desk, machine) })))
    },
    async removeMachine(pool, machine) {
      const { uuid, name } = desk.machineOf(machine, pool)
      await book.leaveMachine(uuid)
      await desk.shows(() => view.machine(uuid) === undefined, `that machine ${name} has left`)
    },
    async setMachineMode(machine, mode, by) {
      const { uuid, name } = desk.machineOf(machine)
      if (mode === 'maintenance' && view.intents({ machine: uuid }).some(({ desired }) => desired === 'running')) {
        throw KALI.MACHINE_REFUSED({ machine: name, doing: 'put into maintenance', reason: `it runs ${view.intents({ machine: uuid }).length} VMs of the pool`, remedy: 'Drain it (kumoi pool drain): it goes into maintenance when it is empty' })
      }
      const stored = await desk.seen(await book.changeMachine(uuid, (present) => ({ ...present, mode })))
      return mode === 'draining' ? drain(desk, uuid, by) : bareOf(stored)
    },
  }
}
