// libvirt's error numbers (virterror.h) as Kumoi's codes.
//
// A worker posts a FailureRecord; here it becomes a coded error for the caller. Whatever the code, its details carry
// libvirt's own `number`, `domain` and `text`. Pure.

import type { CodedError } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'

/** What libvirt said, as plain data. */
export interface FailureRecord {
  /** The libvirt function that failed. */
  readonly what: string
  /** virErrorNumber. */
  readonly number: number
  /** virErrorDomain: the part of libvirt it comes from. */
  readonly domain: number
  readonly text: string
  /** The connection was found dead after the failure. */
  readonly disconnected?: boolean
}
/** What the failed operation was about. */
export interface Subject { readonly uri: string; readonly operation: string; readonly kind: string; readonly name: string; readonly timeoutMs: number }

// virErrorNumber
export const ERROR = {
  internal: 1, noSupport: 3, noConnect: 5, invalidConnection: 6, invalidDomain: 7, invalidArgument: 8, operationFailed: 9,
  xml: 27, domainExists: 28, operationDenied: 29, networkExists: 37, system: 38, rpc: 39, noDomain: 42, noNetwork: 43, authFailed: 45,
  noPool: 49, noVolume: 50, operationInvalid: 55, unsupportedConfig: 67, timeout: 68, noSnapshot: 72, unsupportedArgument: 74,
  poolBuilt: 76, aborted: 78, unsupported: 84, agentUnresponsive: 86, busy: 87, accessDenied: 88, volumeExists: 90, deviceMissing: 99,
} as const

const GONE = new Map<number, string>([[ERROR.noDomain, 'VM'], [ERROR.noNetwork, 'Network'], [ERROR.noPool, 'StoragePool'], [ERROR.noVolume, 'Volume'], [ERROR.noSnapshot, 'Snapshot']])
const QUOTED = /'([^']+)'/
const TAKEN = new Set<number>([ERROR.domainExists, ERROR.networkExists])
const UNSUPPORTED = new Set<number>([ERROR.noSupport, ERROR.unsupported, ERROR.unsupportedConfig, ERROR.unsupportedArgument])
const UNREACHABLE = new Set<number>([ERROR.noConnect, ERROR.invalidConnection])
// libvirt has no number for these: the C library's words for ENOSPC and EDQUOT, and QEMU's refusal of a locked image.
const NO_SPACE = /No space left on device|Disk quota exceeded|not enough space/i
const LOCKED = /Failed to get "?(write|shared|consistent read)"? lock|is in use by|already in use|Active console session exists/i
const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/
const EXISTS = /already exists/

/** A libvirt failure as the caller sees it. */
export function failureToError(failure: FailureRecord, subject: Subject): CodedError {
  const own = { number: failure.number, domain: failure.domain, text: failure.text }
  const { kind, name, operation, uri } = subject
  if (failure.disconnected === true || UNREACHABLE.has(failure.number) || operation === 'connectionOpen') {
    return RMO.DRIVER_UNAVAILABLE({ ...own, uri, reason: failure.text }, { outcome: operation === 'connectionOpen' ? 'not-started' : 'unknown' })
  }
  const gone = GONE.get(failure.number)
  // A VM that needs a network that is not there is not gone itself.
  if (gone !== undefined) return RMO.GONE({ ...own, kind: gone, name: gone === kind ? name : QUOTED.exec(failure.text)?.[1] ?? `that ${kind} ${name} needs`, reason: failure.text })
  if (TAKEN.has(failure.number) || (EXISTS.test(failure.text) && UUID.test(failure.text))) {
    return RMO.NAME_TAKEN({ ...own, kind, name, host: uri, uuid: UUID.exec(failure.text)?.[0] ?? 'uuid not told' })
  }
  if (failure.number === ERROR.volumeExists || failure.number === ERROR.poolBuilt || EXISTS.test(failure.text)) return RMO.ALREADY_EXISTS({ ...own, what: `${kind} ${name}`, host: uri })
  if (NO_SPACE.test(failure.text)) return RMO.NO_SPACE({ ...own, what: `${operation} of ${name}`, path: uri, reason: failure.text })
  if (failure.number === ERROR.timeout || failure.number === ERROR.agentUnresponsive) return RMO.DRIVER_TIMEOUT({ ...own, uri, operation, timeoutMs: subject.timeoutMs })
  if (failure.number === ERROR.busy || LOCKED.test(failure.text)) return RMO.IN_USE({ ...own, kind, name, by: [failure.text] })
  if (failure.number === ERROR.operationInvalid) return RMO.STATE_INVALID({ ...own, kind, name, operation, state: failure.text, needs: 'in another state' })
  if (UNSUPPORTED.has(failure.number)) return RMO.DRIVER_UNSUPPORTED({ ...own, operation, driver: 'libvirt', reason: failure.text })
  return RMO.DRIVER_FAILED({ ...own, operation, name })
}
