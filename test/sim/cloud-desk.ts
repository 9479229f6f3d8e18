// What policies and users of the simulated cloud ask for, over the real snapshot and placement: a small stand-in of act().

import { LIMITS, errorCode } from '../../fabric/base.ts'
import type { Authority } from '../../functions/mod.ts'
import type { ActRequest, ActResult, CloudAction, DecisionRecord, IntentRecord, PoolSnapshot, Stored } from '../../kali/cloud/contract.ts'
import { leaseGone } from '../../kali/cloud/keys.ts'
import { createDesk, bareOf } from '../../kali/service/desk.ts'
import type { Decided } from '../../kali/service/desk.ts'
import { needOf } from '../../kali/service/needs.ts'
import type { CloudServiceOptions } from '../../kali/service/options.ts'
import { place } from '../../kali/service/placing.ts'
import { KALI } from '../../kali/errors.ts'
import type { VmSettings } from '../../rmo/mod.ts'

export interface CloudDesk {
  snapshot(pool: string): Promise<PoolSnapshot>
  memory(pool: string, policy: string): Promise<{ readonly round: number; readonly memory: unknown } | undefined>
  act(pool: string, request: ActRequest): Promise<ActResult>
  /** A user makes one; resolves when it is intended, placed or pending. */
  add(pool: string, vm: { readonly uuid: string; readonly settings: VmSettings; readonly account: string; readonly group?: string }, by: string): Promise<void>
  decisions(pool: string): Promise<readonly DecisionRecord[]>
  stop(): void
}
export type DeskOptions = Pick<CloudServiceOptions, 'view' | 'book' | 'clock' | 'random' | 'log' | 'timings' | 'observe' | 'choose' | 'members'> & { authority(): Authority; random32(): number }
const NEVER = new AbortController().signal

export function startCloudDesk(options: DeskOptions): CloudDesk {
  const { view, book, random32 } = options
  const desk = createDesk({ ...options, async metric() { return undefined }, async ensurePolicies() {}, admit: () => undefined, infeasible: () => undefined })
  const uuidFor = (): string => `00000000-0000-4000-8000-${(random32() * 65_536 + (random32() & 0xffff)).toString(16).padStart(12, '0')}`

  const placeVm = (vm: IntentRecord, by: Decided, over: (present: Stored<IntentRecord>) => Partial<IntentRecord> | undefined, options: { readonly avoid?: Readonly<Record<string, string>>; readonly to?: string | undefined; readonly when?: Parameters<typeof book.change>[2]; readonly fresh?: boolean }): Promise<unknown> => place(desk, {
    pool: vm.pool, vm: needOf(vm), avoid: options.avoid ?? {}, to: options.to, fallback: 'rank', signal: NEVER,
    async write({ uuid, name, node }) {
      const machine = { uuid, name, node }
      if (options.fresh === true) return desk.seen(await book.intend({ ...vm, machine, epoch: 1, booked: true, ...by }))
      const written = await book.change(vm.uuid, (present) => {
        const part = over(present)
        return part === undefined ? undefined : { ...bareOf(present), machine, epoch: present.epoch + 1, booked: true, ...part, ...by }
      }, options.when)
      return desk.seen(written)
    },
  })

  const carryOut = async (action: CloudAction, by: Decided): Promise<'done' | 'nothing'> => {
    const nothing = 'nothing' as const
    switch (action.do) {
      case 'note': return 'done'
      case 'relocate': {
        const vm = desk.vmOf(action.vm)
        const { machine, protection } = vm
        if (vm.epoch !== action.epoch || vm.desired !== 'running' || machine === undefined || protection === undefined) return nothing
        const lost = protection.armed && view.lease(machine.node) === undefined
        if (lost && desk.contactMs() < desk.timings.leaseMs) throw KALI.NOT_TAKEABLE({ vm: vm.name, reason: 'the store was away' })
        if (!lost && view.status(vm.uuid)?.phase !== 'crashed') throw KALI.NOT_TAKEABLE({ vm: vm.name, reason: 'nobody says that it is off' })
        const statusRevision = view.status(vm.uuid)?.revision
        await placeVm(vm, by, (present) => present.revision === vm.revision ? {
          origin: 'restore', protection: { ...protection, armed: false }, tries: { ...present.tries, relocations: present.tries.relocations + 1, sinceMs: present.tries.restarts + present.tries.relocations === 0 ? desk.wallMs() : present.tries.sinceMs },
        } : undefined, { avoid: { [machine.uuid]: 'it was there' }, to: action.to, when: lost ? { when: [leaseGone(machine.node)] } : { proof: 'its agent says that it is off', when: statusRevision === undefined ? [] : [{ key: `cloud/status/${vm.uuid}`, field: 'modRevision', is: '=', than: statusRevision }] } })
        return 'done'
      }
      case 'retry': case 'give-up': {
        const written = await book.change(action.vm, (present) => present.epoch === action.epoch && present.desired === 'running' && present.error === undefined ? { ...bareOf(present), ...action.do === 'give-up' ? { error: action.error } : {}, ...by } : undefined)
        return written === undefined ? nothing : 'done'
      }
      case 'place': {
        const vm = desk.vmOf(action.vm)
        if (vm.machine !== undefined || vm.desired !== 'running') return nothing
        await placeVm(vm, by, (present) => present.machine === undefined && present.desired === 'running' ? {} : undefined, { to: action.to })
        return 'done'
      }
      case 'migrate': {
        const vm = desk.vmOf(action.vm)
        if (vm.epoch !== action.epoch || vm.machine === undefined || vm.desired !== 'running') return nothing
        const { machine } = vm
        await placeVm(vm, by, (present) => present.epoch === action.epoch && present.desired === 'running' ? { origin: 'migrate', ...present.protection === undefined ? {} : { protection: { ...present.protection, armed: false } } } : undefined, { avoid: { [machine.uuid]: 'it is there' }, to: action.to })
        return 'done'
      }
      case 'grow': {
        const group = desk.groupOf(action.group)
        const name = `${group.name}-${action.member}`
        if (view.intents({ pool: group.pool }).some((vm) => vm.name === name)) return nothing
        await add(group.pool, { uuid: uuidFor(), settings: { ...group.template, name }, account: group.account, group: group.uuid }, by)
        return 'done'
      }
      case 'shrink': {
        const written = await book.change(action.vm, (present) => present.group === action.group && present.desired !== 'absent' ? { ...bareOf(present), desired: 'absent', booked: false, ...by } : undefined)
        return written === undefined ? nothing : 'done'
      }
      case 'sleep': case 'wake': return nothing
    }
  }
  const add = async (pool: string, { uuid, settings, account, group }: Parameters<CloudDesk['add']>[1], by: Decided): Promise<void> => {
    const record: IntentRecord = { uuid, name: settings.name, pool, account, desired: 'running', epoch: 0, origin: 'create', settings, booked: false, tries: { restarts: 0, relocations: 0, sinceMs: 0 }, ...by, ...group === undefined ? {} : { group } }
    try { await placeVm(record, by, () => undefined, { fresh: true }) } catch (error) {
      if (errorCode(error) !== KALI.NO_ROOM.code) throw error
      await book.intend(record)
    }
  }
  return {
    snapshot: (pool) => desk.snapshot(pool),
    memory: (pool, policy) => book.memory(policy, pool),
    async act(pool, { policy, round, memory, proposals }) {
      await book.remember(policy, pool, round, memory)
      const results: { readonly outcome: 'done' | 'refused' | 'nothing'; readonly reason: string }[] = []
      for (const { action, reason } of proposals.slice(0, LIMITS.cloudProposalsMax)) {
        const by = desk.decide(policy, reason)
        let outcome: 'done' | 'refused' | 'nothing', said = reason
        try { outcome = await carryOut(action, by) } catch (error) { outcome = 'refused'; said = error instanceof Error ? error.message : String(error) }
        results.push({ outcome, reason: said })
        const about = 'vm' in action ? [action.vm] : 'group' in action ? [action.group] : 'about' in action ? action.about : []
        if (outcome !== 'nothing') await desk.journal({ id: by.decision, pool, policy, about, action: action.do, reason: said, outcome })
      }
      return { round: round + 1, results }
    },
    add: (pool, vm, by) => add(pool, vm, desk.decide(by, 'asked for')),
    decisions: (pool) => book.decisions(pool, { limit: 500 }),
    stop: () => desk.close(),
  }
}
