// The permission to have a VM run on another machine without its old host's help, whatever a policy asks for (cloud.md 5.2,
// 5.3, 5.10). One transaction: the intent is what it was, and either
//
//   armed, and its host's lease is not there (and this node has had the store for a whole lease without a gap, and with an
//     embedded store half of the host's voters, too: kali/lease/voters.ts), or
//   its agent's promise in this very epoch: off here, and not started here again until somebody decides anew
//     - phase 'crashed'; or 'failed' while it was never armed, and never came by migration: a start needs the arming first
//
// and the status record is still the one that says so: an agent withdraws its promise in the store before it breaks it.
// Suspicion, age of gossip, and what was observed of the hypervisor are no permission.

import type { NodeId } from '../../fabric/base.ts'
import type { StoreCompare } from '../../fabric/mod.ts'
import { CLOUD_KEYS, leaseGone } from '../cloud/keys.ts'
import { withTry } from '../cloud/tries.ts'
import type { IntentRecord, StatusRecord, Stored } from '../cloud/contract.ts'
import { KALI } from '../errors.ts'
import { placeOn, saidOf, without } from './calls.ts'
import type { Decided, Desk } from './desk.ts'
import { needOf } from './needs.ts'
import { place } from './placing.ts'
import type { Placed } from './placing.ts'

const RAN: ReadonlySet<StatusRecord['phase']> = new Set(['running', 'ready', 'stopped', 'shut-down', 'stopping'])

/** One that never came to be made may be made elsewhere; one that was is defined again on its disks. */
export function originElsewhere({ origin, protection, epoch }: Pick<IntentRecord, 'origin' | 'protection' | 'epoch'>, said: StatusRecord | undefined): IntentRecord['origin'] {
  // Without protection nothing stands between the making and the start.
  const ran = protection?.armed === true || (said !== undefined && said.epoch === epoch && (RAN.has(said.phase) || (protection === undefined && (said.phase === 'starting' || said.phase === 'crashed'))))
  return origin === 'create' && !ran ? 'create' : 'restore'
}

/** `vote`: its host's voters have to agree, too. */
export interface Permission { readonly when: readonly StoreCompare[]; readonly proof?: string; readonly vote?: NodeId; readonly text: string }

/** Throws KALI_ERR_NOT_TAKEABLE, KALI_ERR_EPOCH_STALE, KALI_ERR_VM_REFUSED. */
export function permissionFor(desk: Pick<Desk, 'view' | 'contactMs' | 'timings' | 'clock'>, intent: Stored<IntentRecord>, epoch: number): Permission {
  const { view, timings } = desk
  const { name, machine, protection } = intent
  const refuse = (reason: string): Error => KALI.NOT_TAKEABLE({ vm: name, reason })
  if (intent.epoch !== epoch) throw KALI.EPOCH_STALE({ vm: name, epoch, present: `it is in epoch ${intent.epoch} on ${machine?.name ?? 'no machine'}` })
  if (intent.desired !== 'running' || intent.error !== undefined) throw KALI.VM_REFUSED({ vm: name, doing: 'taken over', reason: intent.error === undefined ? `it is meant to be ${intent.desired}` : `it was given up: ${intent.error}`, remedy: 'A human clears it (kumoi ha clear)' })
  if (machine === undefined) throw KALI.VM_REFUSED({ vm: name, doing: 'taken over', reason: 'it has no machine', remedy: 'Place it' })
  if (protection === undefined) throw KALI.VM_REFUSED({ vm: name, doing: 'taken over', reason: 'it is not protected', remedy: 'Protect it (kumoi ha add)' })

  const said = saidOf(desk, intent)
  const isPromise = said !== undefined && said.machine === machine.uuid && (said.phase === 'crashed' || (said.phase === 'failed' && !protection.armed && intent.origin !== 'migrate'))
  if (isPromise) {
    return {
      when: [{ key: CLOUD_KEYS.status(intent.uuid), field: 'modRevision', is: '=', than: said.revision }],
      proof: `the agent of ${machine.name} said in epoch ${epoch} that it is off there`, text: `its agent says that it is off on ${machine.name}`,
    }
  }
  if (!protection.armed) throw refuse(`${machine.name} had not armed its watchdog for it, so an expired lease would prove nothing`)
  if (view.lease(machine.node) !== undefined) throw refuse(said?.phase === 'failed' ? `the agent of ${machine.name} still tries to start it` : `the lease of ${machine.name} stands`)
  const contactMs = desk.contactMs()
  if (contactMs < timings.leaseMs) throw refuse(`this node has had the global store for ${seconds(contactMs)}, and a takeover needs a whole lease of ${seconds(timings.leaseMs)}`)
  return { when: [leaseGone(machine.node)], vote: machine.node, text: `the lease of ${machine.name} is gone` }
}

const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`

/** What its host's voters say: further conditions of the transaction, or KALI_ERR_NOT_TAKEABLE. */
async function votedFor({ vote }: Pick<Desk, 'vote'>, { name, machine }: IntentRecord, permission: Permission, signal: AbortSignal): Promise<readonly StoreCompare[]> {
  if (permission.vote === undefined) return []
  const { when, refused } = await vote(permission.vote, signal)
  if (refused !== undefined) throw KALI.NOT_TAKEABLE({ vm: name, reason: `${machine?.name}: ${refused}` })
  return when
}

/** Takes it over. Throws what permissionFor throws, KALI_ERR_NO_ROOM, KALI_ERR_CHANGED. */
export async function relocate(desk: Desk, intent: Stored<IntentRecord>, { epoch, to, decided, signal }: { readonly epoch: number; readonly to?: string | undefined; readonly decided: Decided; readonly signal: AbortSignal }): Promise<Placed<Stored<IntentRecord>>> {
  await votedFor(desk, intent, permissionFor(desk, intent, epoch), signal)
  const from = intent.machine
  return place<Stored<IntentRecord>>(desk, {
    pool: intent.pool, vm: needOf(intent), avoid: from === undefined ? {} : { [from.uuid]: 'it was lost there' }, to, fallback: 'rank', signal,
    async write(machine) {
      // Asked again for each try: what was so a second ago need not be so now.
      const present = desk.view.intent(intent.uuid)
      if (present === undefined) return undefined
      const permission = permissionFor(desk, present, epoch)
      const when = [...permission.when, ...await votedFor(desk, present, permission, signal)], { proof } = permission
      return desk.seen(await desk.book.change(intent.uuid, (stored) => {
        if (stored.revision !== present.revision) throw KALI.CHANGED({ what: `VM ${intent.name}` })
        const { tries, protection } = stored
        return {
          ...without(stored, 'revision'), ...decided, machine: placeOn(machine), epoch: epoch + 1, booked: true, origin: originElsewhere(stored, desk.view.status(stored.uuid)),
          ...(protection === undefined ? {} : { protection: { ...protection, armed: false } }),
          tries: withTry(tries, 'relocations', protection?.windowMs ?? Infinity, decided.decidedAtMs),
        }
      }, { when, signal, ...(proof === undefined ? {} : { proof }) }))
    },
  })
}
