// Connects to a directory: TCP, StartTLS where the settings say so, TLS with the certificate checked; nothing is asked before that.
//
// StartTLS is done here and not by ldapts: of the plain connection exactly one message is read, and any byte behind it ends the
// connection. Otherwise whoever sits on the wire could put the beginning of a "success" before the TLS, to be read as the
// directory's first answer after it.

import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { checkServerIdentity, connect as connectTls } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { LIMITS } from '../../fabric/base.ts'
import { Malformed, OPERATION, frameOf, readAnswer } from './ldap-message.ts'
import type { LdapPlan } from './ldap-settings.ts'

/** Why a directory could not be asked, in words for people. Only ldap.ts and this folder's parts of it see this class. */
export class Away extends Error {
  constructor(reason: string) { super(reason); this.name = 'Away' }
}

/** ExtendedRequest 1.3.6.1.4.1.1466.20037 (RFC 4511 section 4.14), message number 1. */
const START_TLS = Buffer.concat([Buffer.from([0x30, 0x1d, 0x02, 0x01, 0x01, OPERATION.extended, 0x18, 0x80, 0x16]), Buffer.from('1.3.6.1.4.1.1466.20037')])

export interface Connecting {
  readonly signal: AbortSignal
  /** Called as it gets on: for the probe. */
  readonly onReached?: () => void
}

/** An open connection whose certificate holds for the plan's host. Throws Away; nothing stays open then. */
export async function connectLdap(plan: LdapPlan, { signal, onReached }: Connecting): Promise<TLSSocket> {
  const plain = connect({ host: plan.host, port: plan.port })
  const cut = (): void => { plain.destroy() }
  signal.addEventListener('abort', cut, { once: true })
  try {
    signal.throwIfAborted()
    await happened(plain, 'connect')
    onReached?.()
    if (plan.tls === 'start-tls') await startTls(plain)
    const socket = connectTls({
      socket: plain, host: plan.host, minVersion: 'TLSv1.2', rejectUnauthorized: true,
      // Only names are sent along; a certificate for an address is looked for by the address.
      ...(/^[\d.]+$|:/.test(plan.host) ? {} : { servername: plan.host }),
      checkServerIdentity: (_, certificate) => checkServerIdentity(plan.host, certificate),
      ...(plan.ca === undefined ? {} : { ca: plan.ca }),
    })
    await happened(socket, 'secureConnect')
    // Said by rejectUnauthorized already; asked once more, since all that follows hangs on it.
    if (!socket.authorized) throw new Away('its certificate does not hold')
    return socket
  } catch (error) {
    plain.destroy()
    throw error instanceof Away ? error : new Away(reasonOf(error))
  } finally {
    signal.removeEventListener('abort', cut)
  }
}

function happened(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const done = (): void => { settle(); resolve() }
  const failed = (error: Error): void => { settle(); reject(error) }
  const closed = (): void => { settle(); reject(new Away('it closed the connection')) }
  // A listener for errors stays: what breaks later is told by 'close', and must not end the node.
  const settle = (): void => { socket.off(event, done).off('error', failed).off('close', closed).on('error', () => {}) }
  socket.once(event, done).once('error', failed).once('close', closed)
  return promise
}

async function startTls(plain: Socket): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let seen = Buffer.alloc(0)
  const take = (chunk: Buffer): void => {
    seen = Buffer.concat([seen, chunk])
    try {
      if (seen.length > LIMITS.directoryStartTlsBytesMax) throw new Malformed('an answer longer than allowed')
      const frame = frameOf(seen)
      if (frame === undefined || frame.total > seen.length) return
      // Paused in the same turn: what comes from now on is TLS's.
      plain.pause()
      if (frame.total < seen.length) throw new Malformed('bytes in the clear behind its answer to StartTLS')
      const answer = readAnswer(seen)
      if (answer.type !== 'result' || answer.operation !== OPERATION.extendedResponse || answer.id !== 1) throw new Malformed('no answer to StartTLS')
      if (answer.code !== 0) reject(new Away(`it refused StartTLS (code ${answer.code})`))
      else resolve()
    } catch (error) {
      reject(error instanceof Malformed ? new Away(`its answer is not LDAP: ${error.message}`) : error)
    }
  }
  const closed = (): void => reject(new Away('it closed the connection before TLS'))
  plain.on('data', take).on('close', closed)
  try {
    plain.write(START_TLS)
    await promise
  } finally {
    plain.off('data', take).off('close', closed)
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there', ENOTFOUND: 'its name is not known', EAI_AGAIN: 'its name could not be looked up', EHOSTUNREACH: 'it cannot be reached', ENETUNREACH: 'it cannot be reached',
  CERT_HAS_EXPIRED: 'its certificate has expired', CERT_NOT_YET_VALID: 'its certificate is not valid yet', ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by nobody trusted', SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is signed by nobody trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is signed by nobody trusted', UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is signed by nobody trusted', UNABLE_TO_GET_ISSUER_CERT: 'its certificate is signed by nobody trusted',
}
/** The code of a system or TLS error in words; its text may hold whatever the other side sent. */
function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  return code === undefined ? 'the connection could not be made' : REASONS[code] ?? `the connection could not be made (${code})`
}
