// Objects by the names people type: "web1", "host1/web1", a uuid or the beginning of one.

import type { DataCenter, ObjectListing } from '../kali/contract.ts'
import type { PhysicalMachine, VM, VMM } from '../rmo/mod.ts'
import { CLI } from './errors.ts'
import type { Output } from './output.ts'
import { nearest } from './suggest.ts'

export interface Named { readonly name: string; readonly uuid: string }

const UUID_PART = /^[0-9a-f]{4,8}(-[0-9a-f]{0,4}){0,4}[0-9a-f]*$/
const KNOWN_SHOWN_MAX = 10

const hostOf = (object: Named): string => String((object as { readonly host?: unknown }).host ?? '')

/** The one object that `wanted` names; a refusal says what there is. */
export function pick<T extends Named>(what: string, wanted: string, objects: readonly T[]): T {
  const slash = wanted.indexOf('/')
  const [host, name] = slash < 0 ? [undefined, wanted] : [wanted.slice(0, slash), wanted.slice(slash + 1)]
  const named = objects.filter((object) => object.name === wanted || (host !== undefined && object.name === name && hostOf(object) === host))
  const found = named.length > 0 ? named : objects.filter(({ uuid }) => uuid === wanted || (UUID_PART.test(wanted) && uuid.startsWith(wanted)))
  const [one] = found
  if (one !== undefined && found.length === 1) return one
  if (found.length > 1) {
    throw CLI.AMBIGUOUS({ what, name: wanted, found: found.map((object) => `${hostOf(object) === '' ? '' : `${hostOf(object)}/`}${object.name} (${object.uuid})`) })
  }
  const names = objects.map((object) => object.name)
  throw CLI.NOT_FOUND({ what, name: wanted, near: nearest(wanted, names), known: names.slice(0, KNOWN_SHOWN_MAX), more: Math.max(0, names.length - KNOWN_SHOWN_MAX) })
}

/** Says which machines did not answer: what they have is not in the list. */
export function warnOfFailures(out: Output, what: string, { failures }: ObjectListing): void {
  for (const { name, message } of failures) out.warn(`${name} did not answer, its ${what} are not listed: ${message}`)
}

export async function findVm(dc: DataCenter, out: Output, wanted: string): Promise<VM> {
  const listing = await dc.list('VM')
  warnOfFailures(out, 'VMs', listing)
  return pick('VM', wanted, listing.objects as readonly VM[])
}

export const findMachine = async (dc: DataCenter, wanted: string): Promise<PhysicalMachine> => pick('machine', wanted, await dc.pms)

/** The VMM of a machine; without a name the only one there is. */
export async function findVmm(dc: DataCenter, host: string | undefined): Promise<VMM> {
  const { objects } = await dc.list('VMM')
  const vmms = objects as readonly VMM[]
  const [only] = vmms
  if (host === undefined) {
    if (only !== undefined && vmms.length === 1) return only
    throw CLI.USAGE({ problem: only === undefined ? 'No machine of this fabric has a hypervisor.' : 'Which machine?', hint: only === undefined ? 'Start a node with --driver libvirt or --driver memory.' : `Name one with --host: ${vmms.map(({ name }) => name).join(', ')}.` })
  }
  return pick('machine with a hypervisor', host, vmms)
}
