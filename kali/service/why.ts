// Why is it as it is? One sentence first, then what it rests on: intent, status, lease, where it could go, what policies noted,
// and the last decisions (cloud.md 8.6).

import { LIMITS, errorCode } from '../../fabric/base.ts'
import type { Authority } from '../../functions/mod.ts'
import type { Choice, Explanation, GroupRecord, IntentRecord, MachineRecord, PolicyMemory, PoolRecord, PoolSnapshot, StatusRecord, Stored } from '../cloud/contract.ts'
import { KALI } from '../errors.ts'
import { isRunning, saidOf } from './calls.ts'
import { bareOf } from './desk.ts'
import type { Desk } from './desk.ts'
import { needOf } from './needs.ts'
import { isUp } from './snapshot.ts'

type Notes = Explanation['notes']

const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`
const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`

/** Notes of the pool's policies about something, by policy. */
async function notesOf(desk: Desk, { uuid: pool, policies }: PoolRecord, about: string): Promise<Notes> {
  const found = await Promise.all(policies.map(async (policy): Promise<readonly [string, Readonly<Record<string, unknown>>][]> => {
    const kept = (await desk.book.memory(policy, pool))?.memory as Partial<PolicyMemory> | null | undefined
    const note = kept?.notes?.[about]
    return note === undefined ? [] : [[policy, note]]
  }))
  return Object.fromEntries(found.flat())
}

/** Where it could go now; a scheduler that fails says so in `problem`. */
async function placementOf(desk: Desk, snapshot: PoolSnapshot, intent: IntentRecord, signal: AbortSignal): Promise<Choice> {
  try {
    return await desk.choose(snapshot.pool.scheduler, { vm: needOf(intent), snapshot, avoid: intent.machine === undefined ? {} : { [intent.machine.uuid]: 'it is there' } }, signal)
  } catch (error) {
    if (errorCode(error) === undefined) throw error
    return { scheduler: snapshot.pool.scheduler.name, ranked: [], refused: [], tookMs: 0, problem: error instanceof Error ? error.message : String(error) }
  }
}

/** What policies say of it themselves: a brake, no room, a back-off. */
const heldBy = (notes: Notes): string => Object.entries(notes).flatMap(([policy, { reason }]) => typeof reason === 'string' ? [`; ${policy}: ${reason}`] : []).join('')

function sentenceOfVm(desk: Desk, intent: IntentRecord, said: StatusRecord | undefined, lease: Explanation['lease'], notes: Notes): string {
  const { name, machine, desired, error, protection, epoch } = intent
  if (error !== undefined) return `vm ${name} was given up: ${error}; it waits for a human ("kumoi ha clear ${name}")`
  if (desired === 'absent') return `vm ${name} is on its way out: ${intent.reason}`
  if (machine === undefined) return desired === 'running' ? `vm ${name} is pending: ${intent.reason}${heldBy(notes)}` : `vm ${name} is off, and on no machine`
  if (desired === 'stopped') return said?.phase === 'stopped' || said?.phase === 'shut-down' ? `vm ${name} is off, as is wanted: ${intent.reason}` : `vm ${name} is to stop on ${machine.name}: ${said?.phase ?? 'its machine has not taken it up yet'}`
  if (protection?.armed === true && lease?.state === 'gone') {
    const missingMs = desk.timings.leaseMs - desk.contactMs()
    const when = desk.view.mode().mode !== 'armed' ? `nothing is taken over while the cloud is set to ${desk.view.mode().mode}` : missingMs <= 0 ? 'it can be taken over now' : `it can be taken over in ${seconds(missingMs)}, when this node has had the store for a whole lease`
    return `vm ${name} is not running: host ${machine.name} lost its lease ${seconds(lease.ageMs)} ago; ${when}${heldBy(notes)}`
  }
  const member = desk.memberOf(machine.node)
  if (member !== 'alive') {
    return protection?.armed === true ? `vm ${name} may be running: host ${machine.name} is ${member}, but its lease stands; it ends at most ${seconds(desk.timings.leaseMs)} after the last renewal, and not before is it taken over`
      : `vm ${name} is not known to run: host ${machine.name} is ${member}, and ${protection === undefined ? 'it is not protected' : 'it was not armed there'}, so it is not taken over without proof`
  }
  if (said === undefined) return `vm ${name} is on its way: ${machine.name} has not taken up epoch ${epoch} yet`
  if (isRunning(said)) return `vm ${name} runs on ${machine.name}${said.phase === 'ready' ? ' and is ready' : ''}${protection === undefined ? '' : protection.armed ? ', protected' : ', not armed yet'}: ${intent.reason}`
  return `vm ${name} is not running: it is ${said.phase} on ${machine.name}${said.error === undefined ? '' : ` (${said.error})`}${said.attempts > 1 ? `, after ${plural(said.attempts, 'attempt')}` : ''}`
}

function sentenceOfGroup(desk: Desk, group: GroupRecord, notes: Notes): string {
  const members = desk.view.intents({ group: group.uuid })
  const wanted = members.filter(({ desired, error }) => desired === 'running' && error === undefined)
  const up = wanted.filter((member) => isUp(member, desk.view.status(member.uuid))).length
  const held = Object.values(notes).map(({ suspended, held: why }) => suspended ?? why).find((text) => typeof text === 'string')
  return `group ${group.name} has ${up} ready and ${wanted.length - up} in flight of ${group.spec.min} to ${group.spec.max}${group.paused ? '; it is paused' : ''}${held === undefined ? '' : `: ${String(held)}`}`
}

function sentenceOfMachine(desk: Desk, machine: MachineRecord): string {
  const lease = desk.leases.of(machine.node)
  const needsLease = desk.view.intents({ machine: machine.uuid }).some(({ desired, protection }) => desired === 'running' && protection !== undefined)
  const { vms, vcpus, memoryMiB } = machine.booked
  return `machine ${machine.name} is ${machine.asleep === true ? 'asleep' : machine.mode === 'maintenance' ? 'in maintenance' : machine.mode}, its node ${desk.memberOf(machine.node)}, ${needsLease || lease.state === 'held' ? `its lease ${lease.state} for ${seconds(lease.ageMs)}` : 'without a lease, as no protected VM is to run there'}; booked are ${plural(vms, 'VM')}, ${vcpus} of ${machine.cores} cores, ${memoryMiB} of ${machine.memoryMiB} MiB`
}

function sentenceOfPool(desk: Desk, pool: PoolRecord): string {
  const intents = desk.view.intents({ pool: pool.uuid })
  const wanted = intents.filter(({ desired }) => desired === 'running')
  const running = wanted.filter((intent) => isRunning(saidOf(desk, intent))).length
  const pending = wanted.filter(({ machine }) => machine === undefined).length, failed = intents.filter(({ error }) => error !== undefined).length
  const { mode, reason } = desk.view.mode()
  return `pool ${pool.name}: ${plural(desk.view.machines(pool.uuid).length, 'machine')}; ${running} of ${plural(wanted.length, 'wanted VM')} running${pending === 0 ? '' : `, ${pending} pending`}${failed === 0 ? '' : `, ${failed} given up`}${mode === 'armed' ? '' : `; the cloud is set to ${mode} (${reason})`}`
}

export async function why(desk: Desk, pool: string, about: string | undefined, by: Authority): Promise<Explanation> {
  const { view, book } = desk
  const record = desk.poolOf(pool)
  const rest = async (uuid: string): Promise<Pick<Explanation, 'notes' | 'decisions'>> => {
    const [notes, decisions] = await Promise.all([notesOf(desk, record, uuid), book.decisions(pool, { limit: LIMITS.cloudWhyDecisions, ...(uuid === pool ? {} : { about: uuid }) })])
    return { notes, decisions }
  }
  const leaseOf = ({ node, name }: Pick<MachineRecord, 'node' | 'name'>): NonNullable<Explanation['lease']> => ({ node: name, ...desk.leases.of(node), leaseMs: desk.timings.leaseMs })

  if (about === undefined || about === pool || about === record.name) return { about: record.name, summary: sentenceOfPool(desk, record), ...await rest(pool) }
  const intent: Stored<IntentRecord> | undefined = view.intents({ pool }).find(({ uuid, name }) => uuid === about || name === about)
  if (intent !== undefined) {
    const said = saidOf(desk, intent)
    const lease = intent.machine === undefined ? undefined : leaseOf(intent.machine)
    const [explained, placement] = await Promise.all([rest(intent.uuid), desk.snapshot(pool).then((snapshot) => placementOf(desk, snapshot, intent, by.signal))])
    // What the guest is told may hold passwords, and is for who may inspect the VM (its info()).
    const { settings: { context: _, ...settings }, ...wanted } = bareOf(intent)
    return {
      about: intent.name, summary: sentenceOfVm(desk, intent, said, lease, explained.notes), intent: { ...wanted, settings }, ...(said === undefined ? {} : { status: bareOf(said) }),
      ...(lease === undefined ? {} : { lease }), placement, ...explained,
    }
  }
  const group = view.groups(pool).find(({ uuid, name }) => uuid === about || name === about)
  if (group !== undefined) {
    const explained = await rest(group.uuid)
    return { about: group.name, summary: sentenceOfGroup(desk, group, explained.notes), ...explained }
  }
  const machine = view.machines(pool).find(({ uuid, name }) => uuid === about || name === about)
  if (machine !== undefined) return { about: machine.name, summary: sentenceOfMachine(desk, machine), lease: leaseOf(machine), ...await rest(machine.uuid) }
  throw KALI.VM_UNKNOWN({ vm: about })
}
