// What the file of a deployed function may import from 'kumoi', with its types: the declarations that `kumoi deploy` checks it
// against (functions/bundle/type-check.ts). Part of the front door, cli/api.ts.
//
//   import { defineFunction } from 'kumoi'
//   export default defineFunction({ name: 'hello', run({ log }) { log.info('hello') } })

import { defineFunction as define, onlyInside } from '../functions/base.ts'
import type { ContextOf, ContextTools, FunctionDefinition } from '../functions/mod.ts'
import { schedulerDefinition } from '../kali/base.ts'
import type { SchedulerDefinition } from '../kali/base.ts'
import type { ObjectCollections } from '../kali/contract.ts'
import type { LoadOptions, ObjectDump, ResourceObject, VM } from '../rmo/mod.ts'

export { Bridge, Cdrom, FileDisk, FileDiskAuto, load, mac, NetworkInterface, VolumeDisk } from '../rmo/base.ts'
export { byRank } from '../kali/base.ts'
export type { SchedulableMachine, SchedulerChoice, SchedulerDefinition, UserScheduler } from '../kali/base.ts'
export type { CallInfo, Collection, CollectionOptions, FunctionLog, FunctionSecrets, FunctionState, Outcome, StateEntry } from '../functions/mod.ts'
export type { Device, GuestContext, Image, LoadOptions, Network, ObjectDump, PhysicalMachine, Port, Snapshot, StoragePool, Switch, VM, VmEvent, VMM, VmSettings, Volume } from '../rmo/mod.ts'

export interface ContextCollections extends ObjectCollections {
  /** A cold object from what dump() answered; add it somewhere to make it again. */
  load<T extends ResourceObject = VM>(dump: ObjectDump, options?: LoadOptions): T
}

/** First argument of `run`. */
export type FunctionContext = ContextOf<ContextCollections>

/** Declares a deployed function; the file's default export. `P`: type of the payload, as the annotation in `run` says. */
export const defineFunction: <P = unknown, R = unknown>(definition: FunctionDefinition<FunctionContext, P, R>) => FunctionDefinition<FunctionContext, P, R> = define

/** Declares a deployed scheduler, for `pool.scheduler = 'NAME'`: the file's default export. `schedule(vm, pms)` answers a machine of pms, its name or uuid, a list of these with the best first, or nothing. Throws TypeError. */
export const defineScheduler = (definition: SchedulerDefinition): ReturnType<typeof schedulerDefinition> => define(schedulerDefinition(definition))

/** As in run's context; for helpers that are not given it. Inside deployed functions only. */
export const range: ContextTools['range'] = onlyInside('range')
export const from: ContextTools['from'] = onlyInside('from')
