// The one Global, as each node offers it: counts of its own view, verbs of its CloudService.

import type { Authority, ReferenceRecord } from '../../../functions/mod.ts'
import { RMO, randomUuid } from '../../../rmo/base.ts'
import type { QuotaScope } from '../../cloud/contract.ts'
import { scopeText } from '../../cloud/owners.ts'
import { KALI } from '../../errors.ts'
import { canonicalGroupName, canonicalUserName } from '../../trust/names.ts'
import { GLOBAL_UUID } from '../global.ts'
import type { GlobalAttributes, LocalGlobal } from '../global.ts'
import { POOL_FIELDS, changeOfPool } from '../pool-settings.ts'
import type { PoolSettings } from '../pool-settings.ts'
import type { CloudHome, EventSource } from './context.ts'
import { recordHere } from './records.ts'

const NAME = 'global'
const DECISIONS_DEFAULT = 100

/** What of a cold pool's attributes are settings, checked again: nobody's word is taken for them. */
const settingsOf = ({ name, attributes }: ReferenceRecord): Partial<PoolSettings> => Object.fromEntries(
  Object.entries({ ...attributes, name }).flatMap(([key, value]) => {
    const type = Object.hasOwn(POOL_FIELDS, key) ? POOL_FIELDS[key as keyof typeof POOL_FIELDS] : undefined
    return type === undefined || value === undefined ? [] : [[key, type.check(value, { call: 'Global.add', path: `pool.${key}` })]]
  }))

export function createGlobal(home: CloudHome, events: EventSource): LocalGlobal {
  const { service, book, clock, self, random } = home
  const { view } = service
  let attributes: GlobalAttributes | undefined

  const scopeOf = (named: string): QuotaScope => {
    const [, type, name = ''] = /^(pool|account|user|group)[/:](.+)$/.exec(named) ?? []
    if (type === 'account') return `account/${name}`
    if (type === 'user') return `user/${canonicalUserName(name)}`
    if (type === 'group') return `group/${canonicalGroupName(name)}`
    const found = type === undefined ? undefined : view.pools().find((pool) => pool.uuid === name || pool.name === name)
    if (found !== undefined) return `pool/${found.uuid}`
    if (type === 'pool') throw KALI.POOL_UNKNOWN({ pool: name })
    throw RMO.ARGUMENT_INVALID({ call: 'Global.quota', path: 'scope', expected: '"pool:NAME", "user:NAME", "group:NAME" or "account/PRINCIPAL"', got: JSON.stringify(named) })
  }

  /** As users write it. */
  const written = (scope: QuotaScope): string => (scope.startsWith('pool/') ? `pool/${view.pool(scope.slice('pool/'.length))?.name ?? scope.slice('pool/'.length)}` : scopeText(scope))

  return {
    attributes() {
      const { mode, reason } = view.mode()
      const next: GlobalAttributes = {
        name: NAME, uuid: GLOBAL_UUID, state: mode, reason, store: view.contactSinceMs() === undefined ? 'away' : 'reachable',
        poolsCount: view.pools().length, machinesCount: view.machines().length, vmsCount: view.intents().length,
      }
      if (attributes === undefined || (Object.keys(next) as (keyof GlobalAttributes)[]).some((key) => next[key] !== attributes?.[key])) attributes = Object.freeze(next)
      return attributes
    },
    info() {
      const since = view.contactSinceMs()
      return { name: NAME, uuid: GLOBAL_UUID, mode: view.mode(), revision: view.revision, ...(since === undefined ? {} : { contactMs: clock.nowMs() - since }) }
    },
    stats() {
      const intents = view.intents()
      return {
        atMs: Math.round(clock.wallMs()), pools: view.pools().length, machines: view.machines().length, vms: intents.length, groups: view.groups().length,
        protectedVms: intents.filter(({ protection }) => protection !== undefined).length,
        pendingVms: intents.filter(({ desired, machine }) => desired === 'running' && machine === undefined).length,
      }
    },
    onEvent: (listener) => events.on(listener),
    createPool: ({ name, ...wish }) => ({ kind: 'Pool', uuid: randomUuid(random), home: self, name, attributes: { name, ...wish }, cold: true }),
    async add(pool, by) {
      if (view.pool(pool.uuid) === undefined) {
        if (pool.cold !== true) throw KALI.POOL_UNKNOWN({ pool: pool.name })
        await service.addPool({ uuid: pool.uuid, ...changeOfPool(settingsOf(pool)), name: pool.name }, by)
      }
      return recordHere(home, 'Pool', pool.uuid)
    },
    async remove({ uuid }, options, by) {
      // Removing twice is removing once.
      if (view.pool(uuid) !== undefined) await service.removePool(uuid, options, by)
    },
    mode: (mode, reason, by) => service.setMode(mode, reason, by),
    async quota(named, limit, by) {
      const scope = scopeOf(named)
      if (limit !== undefined) await service.putQuota({ scope, limit } as Parameters<typeof service.putQuota>[0], by)
      return { scope, limit: view.quota(scope)?.limit ?? {}, booked: await book.booked(scope) }
    },
    quotas: () => Promise.all(view.quotas().map(async ({ scope, limit }) => ({ scope: written(scope), limit, booked: await book.booked(scope) }))),
    async decisions(options, by) {
      const { limit = DECISIONS_DEFAULT } = options
      const all = await Promise.all(view.pools().map(({ uuid }) => service.decisions(uuid, { ...options, limit }, by)))
      return all.flat().toSorted((a, b) => b.atMs - a.atMs).slice(0, limit)
    },
    async related(kind, authority: Authority) {
      const here = ['Pool', 'Elasticity', 'HighAvailability'].includes(kind)
      return here ? home.objects.list(kind).map(({ uuid }) => recordHere(home, kind, uuid)) : home.list(kind, authority)
    },
  }
}
