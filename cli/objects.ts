// Objects by the names people type: "web1", "host1/web1", a uuid or the beginning of one.

import type { Member } from '../fabric/mod.ts'
import type { DataCenter, ObjectListing } from '../kali/contract.ts'
import type { PhysicalMachine, VM, VMM } from '../rmo/mod.ts'
import { CLI } from './errors.ts'
import type { Output } from './output.ts'
import { referenceOf } from './render/shapes.ts'
import { nearest } from './suggest.ts'

export interface Named { readonly name: string; readonly uuid: string }

const UUID_PART = /^[0-9a-f]{4,8}(-[0-9a-f]{0,4}){0,4}[0-9a-f]*$/
const KNOWN_SHOWN_MAX = 10

/** An attribute that not every kind has; asking the object itself for it would be an error. */
export function attributeOf(object: Named, name: string): unknown {
  const reference = referenceOf(object)
  return reference === undefined ? (object as unknown as Readonly<Record<string, unknown>>)[name] : reference.attributes[name]
}

/** Name of the machine that an object is on; "" when its kind does not say. */
export const hostOf = (object: Named): string => String(attributeOf(object, 'host') ?? '')

/** As people write it when the name alone is not enough. */
export const fullName = (object: Named): string => (hostOf(object) === '' ? object.name : `${hostOf(object)}/${object.name}`)

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
export const byNameThenHost = (a: Named, b: Named): number => compare(a.name, b.name) || compare(hostOf(a), hostOf(b)) || compare(a.uuid, b.uuid)

/** Names for a refusal: those that stand for one object as they are, the others with their machine. */
function namesOf(objects: readonly Named[]): readonly string[] {
  const often = new Map<string, number>()
  for (const { name } of objects) often.set(name, (often.get(name) ?? 0) + 1)
  return objects.map((object) => (often.get(object.name) === 1 ? object.name : fullName(object)))
}

/** "a, b and 7 more". */
export const fewOf = (names: readonly string[]): string =>
  `${names.slice(0, KNOWN_SHOWN_MAX).join(', ')}${names.length > KNOWN_SHOWN_MAX ? ` and ${names.length - KNOWN_SHOWN_MAX} more` : ''}`

/** Members that cannot be asked: nobody knows what they have. */
export const awayMembers = async (dc: DataCenter): Promise<readonly Member[]> => (await dc.members()).filter(({ state }) => state === 'dead' || state === 'left')

/** An answer of the whole fleet leaves out who is dead; it is said, not left to be noticed. */
export async function noteDead(dc: DataCenter, out: Output): Promise<void> {
  const dead = (await awayMembers(dc)).filter(({ state }) => state === 'dead').map(({ name }) => name)
  if (dead.length > 0) out.note(`not asked, being dead: ${dead.join(', ')} (kumoi nodes)`)
}

/** The one object that `wanted` names; a refusal says what there is, and who (`away`) could not be asked. */
export function pick<T extends Named>(what: string, wanted: string, objects: readonly T[], away: readonly Member[] = []): T {
  const slash = wanted.indexOf('/')
  const [host, name] = slash < 0 ? [undefined, wanted] : [wanted.slice(0, slash), wanted.slice(slash + 1)]
  const named = objects.filter((object) => object.name === wanted || (host !== undefined && object.name === name && hostOf(object) === host))
  const part = wanted.toLowerCase()
  const found = named.length > 0 ? named : objects.filter(({ uuid }) => UUID_PART.test(part) && uuid.startsWith(part))
  const [one] = found
  if (one !== undefined && found.length === 1) return one
  if (found.length > 1) throw CLI.AMBIGUOUS({ what, name: wanted, found: found.toSorted(byNameThenHost).map((object) => `${fullName(object)} (${object.uuid})`) })
  const known = namesOf(objects.toSorted(byNameThenHost))
  const near = nearest(wanted, known) ?? (host === undefined ? undefined : nearest(wanted, objects.map(fullName)))
  throw CLI.NOT_FOUND({ what, name: wanted, near, known: known.slice(0, KNOWN_SHOWN_MAX), more: Math.max(0, known.length - KNOWN_SHOWN_MAX), away: away.map(({ name: member, state }) => `${member} (${state})`) })
}

/** Says which machines did not answer: what they have is not in the list. */
export function warnOfFailures(out: Output, what: string, { failures }: ObjectListing): void {
  for (const { name, message } of failures) out.warn(`${name} did not answer, its ${what} are not listed: ${message}`)
}

/** The objects of a kind that these names mean, each once, from one listing. */
export async function findObjects<T extends Named>(dc: DataCenter, out: Output, kind: { readonly kind: string; readonly one: string; readonly many: string }, wanted: readonly string[]): Promise<T[]> {
  const listing = await dc.list(kind.kind)
  warnOfFailures(out, kind.many, listing)
  const away = await awayMembers(dc)
  const found = wanted.map((name) => pick(kind.one, name, listing.objects as readonly Named[] as readonly T[], away))
  return [...new Map(found.map((object) => [object.uuid, object])).values()]
}

const VMS = { kind: 'VM', one: 'VM', many: 'VMs' } as const
const IMAGES = { kind: 'Image', one: 'image', many: 'images' } as const

export const findVms = (dc: DataCenter, out: Output, wanted: readonly string[]): Promise<VM[]> => findObjects<VM>(dc, out, VMS, wanted)

export async function findVm(dc: DataCenter, out: Output, wanted: string): Promise<VM> { return only(await findVms(dc, out, [wanted])) }

export async function findImage<T extends Named>(dc: DataCenter, out: Output, wanted: string): Promise<T> { return only(await findObjects<T>(dc, out, IMAGES, [wanted])) }

function only<T>([object]: readonly T[]): T {
  if (object === undefined) throw new Error('one name gives one object')
  return object
}

/** A machine; one that is dead or has left is there no more, but is no unknown name. */
async function pickMachine<T extends Named>(dc: DataCenter, what: string, wanted: string, machines: readonly T[]): Promise<T> {
  const gone = machines.some(({ name }) => name === wanted) ? undefined : (await awayMembers(dc)).find(({ name }) => name === wanted)
  if (gone !== undefined) throw CLI.MACHINE_AWAY({ name: gone.name, state: gone.state, known: machines.map(({ name }) => name).slice(0, KNOWN_SHOWN_MAX) })
  return pick(what, wanted, machines)
}

export const findMachine = async (dc: DataCenter, wanted: string): Promise<PhysicalMachine> => pickMachine(dc, 'machine', wanted, await dc.pms)

/** The VMM of a machine; without a name the only one there is. */
export async function findVmm(dc: DataCenter, out: Output, host: string | undefined): Promise<VMM> {
  const listing = await dc.list('VMM')
  warnOfFailures(out, 'hypervisor', listing)
  const vmms = listing.objects as readonly VMM[]
  const [first] = vmms
  if (first === undefined) throw CLI.NO_HYPERVISOR({})
  if (host !== undefined) return pickMachine(dc, 'machine with a hypervisor', host, vmms)
  if (vmms.length === 1) return first
  throw CLI.USAGE({ problem: 'Which machine?', hint: `Name one with --host: ${fewOf(vmms.map(({ name }) => name))}.` })
}
