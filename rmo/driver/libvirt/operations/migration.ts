// Migration, source side: virDomainMigrateToURI3, peer to peer (the two libvirtds talk to each other; the node only
// waits). Its progress is read by another thread (virDomainGetJobStats), and ended by virDomainAbortJob.

import { isActive } from '../domain-state.ts'
import { ERROR } from '../failure.ts'
import { parametersAt, withParameters } from '../memory.ts'
import type { ParameterValue } from '../memory.ts'
import { LibvirtFailure, failIf, succeeded } from '../operation.ts'
import type { OperationContext, Operations, Pointer } from '../operation.ts'
import { stateOf, withDomain } from './domain-record.ts'

// virDomainMigrateFlags
const LIVE = 1, PEER_TO_PEER = 2, PERSIST_DESTINATION = 8, UNDEFINE_SOURCE = 16, UNSAFE = 512, OFFLINE = 1024, ABORT_ON_ERROR = 4096, AUTO_CONVERGE = 8192
const JOB_NONE = 0

export interface MigrateArguments {
  readonly uuid: string
  readonly uri: string
  readonly transportUri?: string
  readonly live: boolean
  readonly bandwidthMiBps?: number
  /** Both hosts have shown that they see the same files, which libvirt cannot know. */
  readonly sharedDisks: boolean
}

function migrate(context: OperationContext, { uuid, uri, transportUri, live, bandwidthMiBps, sharedDisks }: MigrateArguments): void {
  const { lib } = context
  withDomain(context, uuid, (domain) => {
    const { state } = stateOf(lib, domain)
    // Its saved memory is a file of this host, which does not travel.
    if (state === 'saved') throw new LibvirtFailure({ what: 'virDomainMigrateToURI3', number: ERROR.operationInvalid, domain: 0, text: state })
    // A guest that writes faster than the network copies is slowed down rather than copied for ever; of one that is off, only the definition goes.
    const how = !isActive(state) ? OFFLINE : ABORT_ON_ERROR | (live ? LIVE | AUTO_CONVERGE : 0)
    const flags = PEER_TO_PEER | PERSIST_DESTINATION | UNDEFINE_SOURCE | how | (sharedDisks ? UNSAFE : 0)
    withParameters(lib, isActive(state) ? { migrate_uri: transportUri, bandwidth: bandwidthMiBps } : {}, (parameters, count) =>
      succeeded(lib.virDomainMigrateToURI3(domain, uri, parameters, count, flags), lib, 'virDomainMigrateToURI3'))
  })
}

/** The pause at the switch; libvirt takes it only while a migration runs. */
function setDowntime(context: OperationContext, { uuid, downtimeMs }: { readonly uuid: string; readonly downtimeMs: number }): void {
  withDomain(context, uuid, (domain) => succeeded(context.lib.virDomainMigrateSetMaxDowntime(domain, downtimeMs, 0), context.lib, 'virDomainMigrateSetMaxDowntime'))
}

export interface JobProgress { readonly totalBytes: number; readonly doneBytes: number; readonly remainingBytes: number; readonly elapsedMs: number }

/** undefined: no job runs. */
function progress(context: OperationContext, { uuid }: { readonly uuid: string }): JobProgress | undefined {
  const { lib } = context
  return withDomain(context, uuid, (domain) => {
    const type = [0]
    const parameters: (Pointer | null)[] = [null]
    const count = [0]
    failIf(lib.virDomainGetJobStats(domain, type, parameters, count, 0) < 0, lib, 'virDomainGetJobStats')
    const values: ReadonlyMap<string, ParameterValue> = parametersAt(parameters[0] ?? null, count[0] ?? 0)
    if (parameters[0] !== null && parameters[0] !== undefined) lib.virTypedParamsFree(parameters[0], count[0] ?? 0)
    if (type[0] === JOB_NONE) return undefined
    const number = (name: string): number => Number(values.get(name) ?? 0)
    return { totalBytes: number('data_total'), doneBytes: number('data_processed'), remainingBytes: number('data_remaining'), elapsedMs: number('time_elapsed') }
  })
}

function abort(context: OperationContext, { uuid }: { readonly uuid: string }): void {
  withDomain(context, uuid, (domain) => succeeded(context.lib.virDomainAbortJob(domain), context.lib, 'virDomainAbortJob'))
}

export const migrationOperations: Operations = { domainMigrate: migrate, domainSetDowntime: setDowntime, domainProgress: progress, domainAbort: abort }
