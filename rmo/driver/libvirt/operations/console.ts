// Opening and closing a serial console; its bytes go through the event thread (event-worker.ts).

import { isActive } from '../domain-state.ts'
import { ERROR } from '../failure.ts'
import { LibvirtFailure, failIf, present } from '../operation.ts'
import type { OperationContext, Operations, Pointer } from '../operation.ts'
import { stateOf, withDomain } from './domain-record.ts'

const STREAM_NONBLOCK = 1

/** Answers a stream that the caller must give back with consoleClose. Refused while another reader has the console. */
function open(context: OperationContext, { uuid }: { readonly uuid: string }): Pointer {
  const { lib, connection } = context
  return withDomain(context, uuid, (domain) => {
    const { state } = stateOf(lib, domain)
    if (!isActive(state)) throw new LibvirtFailure({ what: 'virDomainOpenConsole', number: ERROR.operationInvalid, domain: 0, text: state })
    const stream = present(lib.virStreamNew(connection, STREAM_NONBLOCK), lib, 'virStreamNew')
    try {
      failIf(lib.virDomainOpenConsole(domain, null, stream, 0) < 0, lib, 'virDomainOpenConsole')
    } catch (error) {
      lib.virStreamFree(stream)
      throw error
    }
    return stream
  })
}

/** A stream that has ended by itself cannot be aborted again; it is freed all the same. */
function close({ lib }: OperationContext, { stream }: { readonly stream: Pointer }): void {
  lib.virStreamAbort(stream)
  lib.virStreamFree(stream)
}

export const consoleOperations: Operations = { domainOpenConsole: open, domainCloseConsole: close }
