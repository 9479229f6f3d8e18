// Elasticity: VMs alike, as many as their load asks for (the paper's pool.createElasticity, Figure 4).
//
// The policy kali-elasticity decides; this object is what it decides about. Rules: cloud.md section 6.

import { LIMITS } from '../../fabric/base.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import { boolean, column, defineKind, nothing, oneOf, optional, parameter, record, text, vmName } from '../../rmo/base.ts'
import type { ObjectEvent } from '../../rmo/mod.ts'
import { ELASTICITY_FIELDS } from './elasticity-settings.ts'
import type { ElasticitySettings } from './elasticity-settings.ts'
import type { Elasticity, ElasticityInfo, ElasticityStats } from './interfaces.ts'
import { count, poolName } from './types.ts'

// ---------------------------------------------------------------- for the node

export type ElasticityAttributes = Pick<Elasticity, 'name' | 'uuid' | 'pool' | 'membersCount' | 'inFlightCount' | keyof ElasticitySettings> & { readonly state: 'active' | 'paused' | 'suspended' }

export interface LocalElasticity {
  readonly uuid: string
  attributes(): ElasticityAttributes
  settings(): ElasticitySettings
  apply(change: Partial<ElasticitySettings>, authority: Authority): Promise<void>
  info(): ElasticityInfo
  stats(): ElasticityStats
  onEvent(listener: (event: ObjectEvent) => void): () => void
  members(authority: Authority): Promise<readonly ReferenceRecord[]>
  pause(paused: 'pause' | 'resume', authority: Authority): Promise<void>
  remove(options: { readonly keepMembers?: boolean }, authority: Authority): Promise<void>
}

// ---------------------------------------------------------------- declaration

const fields = ELASTICITY_FIELDS
const nothingSaid = { doc: 'nothing', type: nothing() }
const member = { vm: text(), name: vmName }

export const elasticity = defineKind<Elasticity, LocalElasticity>({
  kind: 'Elasticity',
  plural: 'elasticities',
  doc: 'VMs alike, as many as their load asks for.',
  residence: 'global',
  example: 'elasticities.dfilter(group => group.membersCount === group.max)',
  observe: (local) => local.attributes(),
  attributes: {
    state: { doc: 'active, paused; suspended while the data center is frozen; cold before it is added.', type: oneOf('active', 'paused', 'suspended', 'cold'), column: column('STATE') },
    pool: { doc: 'Name of its pool.', type: text(), column: column('POOL') },
    membersCount: { doc: 'Members, in flight or not.', type: count, column: column('MEMBERS', 'number') },
    inFlightCount: { doc: 'Members asked for and not ready yet.', type: count, column: column('IN FLIGHT', 'number') },
    min: { doc: 'Never fewer members.', type: fields.min, column: column('MIN', 'number') },
    max: { doc: 'Never more members.', type: fields.max, column: column('MAX', 'number') },
    out: { doc: 'A member is added above this load.', type: fields.out, column: column('OUT', 'ratio') },
    in: { doc: 'One is taken away below this load.', type: fields.in, column: column('IN', 'ratio') },
    metric: { doc: '"cpu": mean of the ready members; or a deployed function.', type: fields.metric, column: column('METRIC') },
    hold: { doc: 'Evaluations in a row before anything is done.', type: fields.hold, column: column('HOLD', 'number', true) },
    periodMs: { doc: 'Time between two evaluations.', type: fields.periodMs, column: column('PERIOD MS', 'number', true) },
    warmUpMs: { doc: 'From running to ready.', type: fields.warmUpMs, column: column('WARM UP MS', 'number', true) },
    cooldownOutMs: { doc: 'From completion of a change to the next addition.', type: fields.cooldownOutMs, column: column('COOLDOWN OUT MS', 'number', true) },
    cooldownInMs: { doc: 'From completion of a change to the next removal.', type: fields.cooldownInMs, column: column('COOLDOWN IN MS', 'number', true) },
    stepOut: { doc: 'Members added at once, at most.', type: fields.stepOut, column: column('STEP OUT', 'number', true) },
    stepIn: { doc: 'Members taken away at once, at most.', type: fields.stepIn, column: column('STEP IN', 'number', true) },
    margin: { doc: 'Projected load after a removal stays this far under out.', type: fields.margin, column: column('MARGIN', 'ratio', true) },
    flightMs: { doc: 'A member in flight for longer is replaced.', type: fields.flightMs, column: column('FLIGHT MS', 'number', true) },
    drainMs: { doc: 'From asking a member to stop to pulling the plug.', type: fields.drainMs, column: column('DRAIN MS', 'number', true) },
    readyText: { doc: 'What a ready member says on its console; "": it has run for warmUpMs.', type: fields.readyText, column: column('READY TEXT', 'text', true) },
    schedule: { doc: 'Wishes by the clock.', type: fields.schedule as never, column: 'none' },
  },
  common: {
    info: (local) => local.info(),
    stats: (local) => local.stats(),
  },
  settings: {
    fields,
    read: (local) => local.settings(),
    apply: (local, change, authority) => local.apply(change as Partial<ElasticitySettings>, authority),
  },
  coldVerbs: {},
  verbs: {
    pause: { doc: 'No member is added or taken away until resume().', acl: 'operate', idempotent: true, parameters: [], result: nothingSaid, run: (local, _args, authority) => local.pause('pause', authority) },
    resume: { doc: 'It follows its load again.', acl: 'operate', idempotent: true, parameters: [], result: nothingSaid, run: (local, _args, authority) => local.pause('resume', authority) },
    remove: {
      doc: 'Removes it; members are destroyed, the VM it was made from never.', acl: 'delete', idempotent: true,
      parameters: [parameter('options', optional(record({ keepMembers: optional(boolean()) })), 'keepMembers: they go on as VMs of the pool.')],
      result: nothingSaid,
      budgetMs: () => LIMITS.vmCopyTimeoutMs,
      run: (local, [options], authority) => local.remove(options ?? {}, authority),
    },
  },
  collections: { vms: { kind: 'VM', doc: 'Its members.', list: (local, authority) => local.members(authority) } },
  references: {},
  events: {
    memberAdded: { doc: 'A member was asked for.', fields: member },
    memberReady: { doc: 'A member counts from now on.', fields: member },
    memberRemoved: { doc: 'A member is no more.', fields: member },
    changed: { doc: 'Settings changed.', fields: { name: poolName } },
    gone: { doc: 'It was removed. Ends the watch.', fields: { reason: text() } },
  },
  watch: { options: record({}), start: (local, _options, emit) => local.onEvent(emit) },
})
