// One pool, as each node offers it: figures of the node's view, verbs of its CloudService.
//
// add() and remove() take machines, VMs, groups and protections alike; what is there already is left as it is, so that a
// call that failed half way can be repeated.

import type { Authority, ReferenceRecord } from '../../../functions/mod.ts'
import { RMO, coldVm, randomUuid } from '../../../rmo/base.ts'
import type { IntentRecord, MachineRecord, PoolRecord, Stored } from '../../cloud/contract.ts'
import { KALI } from '../../errors.ts'
import { changeOfGroup, settingsIn } from '../elasticity-settings.ts'
import { PROTECTION_FIELDS, protectionUuidOf } from '../high-availability-settings.ts'
import type { LocalPool, PoolAttributes } from '../pool.ts'
import { changeOfPool, settingsOfPool } from '../pool-settings.ts'
import { schedulerText } from '../types.ts'
import { poolFigures } from './capacity.ts'
import { cachedBy, eachAtOnce, machineRecords, vmRecord, vmRecords } from './context.ts'
import type { CloudHome, EventSource } from './context.ts'
import { moveVm } from './move.ts'
import { recordHere } from './records.ts'
