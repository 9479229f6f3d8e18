// Connections to the members of an etcd, one client each, and which of them is asked: the only file that loads etcd3.
//
// etcd3's own retries are off (a policy that just calls): they would send a write again whose answer was lost. We choose the
// member: one that fails is left for the next. Its watcher is not used either: it re-reads the revision after a reconnect and
// goes on from the lower one, we go on from what was delivered; and a watch asks etcd to end it when the member has lost
// the leader (hasleader), else a member that is cut off would keep it silent. Source: etcd3 1.1 (connection-pool, watch).

import { readFile } from 'node:fs/promises'
import type { IDuplexStream, IOptions, IWatchRequest, IWatchResponse, KVClient, LeaseClient } from 'etcd3'
import { CodedError } from '../../errors.ts'
import { FABRIC } from '../../errors-table.ts'
import { LIMITS } from '../../limits.ts'
import type { EtcdAddress } from './url.ts'

export interface EtcdMember {
  readonly kv: KVClient
  readonly leaseClient: LeaseClient
  watchStream(): Promise<IDuplexStream<IWatchRequest, IWatchResponse>>
}

export interface EtcdConnection {
  /** The one that is asked now. */
  member(): EtcdMember
  /** It failed: another is asked from now on, unless somebody has moved on already. */
  leave(failed: EtcdMember): void
  close(): void
}

type Policy = NonNullable<NonNullable<IOptions['faultHandling']>['global']>
/** Calls, and nothing else. */
const JUST_CALL = { execute: async (call: (context: { readonly signal: AbortSignal }) => unknown) => call({ signal: new AbortController().signal }) } as unknown as Policy

const CHANNEL = {
  'grpc.max_receive_message_length': LIMITS.messageBytesMax,
  // A connection whose other end is silent is found out: etcd allows a ping every five seconds.
  'grpc.keepalive_time_ms': 10_000, 'grpc.keepalive_timeout_ms': 5_000, 'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 1_000,
}

/** Loads the client; connects when the first call is made. Rejects with FABRIC_ERR_STORE_URL when a certificate cannot be read. */
export async function connectEtcd(address: EtcdAddress): Promise<EtcdConnection> {
  const { Etcd3 } = await import('etcd3')
  class Member extends Etcd3 implements EtcdMember {
    watchStream(): Promise<IDuplexStream<IWatchRequest, IWatchResponse>> {
      return this.pool.withConnection('Watch', ({ client, metadata }) => {
        const required = metadata.clone()
        required.set('hasleader', 'true')
        return (client as unknown as { watch(metadata: unknown): IDuplexStream<IWatchRequest, IWatchResponse> }).watch(required)
      })
    }
  }
  const credentials = await certificates(address)
  const members = address.endpoints.map((hosts) => new Member({
    hosts, grpcOptions: CHANNEL, faultHandling: { host: () => JUST_CALL, global: JUST_CALL },
    ...(credentials === undefined ? {} : { credentials }),
    ...(address.user === undefined ? {} : { auth: { username: address.user.name, password: address.user.password } }),
  }))
  let at = 0
  const member = (): Member => members[at] as Member
  return {
    member,
    leave(failed) { if (failed === member()) at = (at + 1) % members.length },
    close() { for (const each of members) each.close() },
  }
}

async function certificates({ tls, description }: EtcdAddress): Promise<IOptions['credentials']> {
  if (tls?.ca === undefined) return undefined
  try {
    return {
      rootCertificate: await readFile(tls.ca),
      ...(tls.cert === undefined || tls.key === undefined ? {} : { certChain: await readFile(tls.cert), privateKey: await readFile(tls.key) }),
    }
  } catch (cause) {
    throw FABRIC.STORE_URL({ url: description, reason: `a certificate cannot be read (${(cause as Error).message})` }, { cause })
  }
}

const STATUS = /\b(\d{1,2}) [A-Z_]+: ([\s\S]*)$/
const UNAVAILABLE = 14
/** grpc-js's words for a request that never left. */
const NEVER_SENT = /No connection established|ECONNREFUSED|Name resolution failed|EHOSTUNREACH|ENETUNREACH/
/** What etcd refuses for good: asking another member is no use. */
const REFUSED = /lease already exists|authentication failed|permission denied|invalid auth token|user name is empty|unknown service/i

/** An error of etcd's client as ours. `lease` names the lease that the call was about. */
export function etcdFailure(cause: unknown, about: { readonly store: string; readonly lease?: string | undefined }): CodedError {
  if (cause instanceof CodedError) return cause
  const message = cause instanceof Error ? cause.message : String(cause)
  const [, status, detail = message] = STATUS.exec(message) ?? []
  if (/requested lease not found/.test(detail)) return FABRIC.STORE_LEASE_GONE({ lease: about.lease ?? 'of the transaction' }, { cause })
  if (/database space exceeded/.test(detail)) return FABRIC.STORE_FULL({ bytes: 0, bytesMax: 0 }, { cause })
  if (/too many operations|request is too large|duplicate key/.test(detail)) return FABRIC.STORE_INVALID({ what: 'the request', expected: 'within the bounds of this etcd', got: detail }, { cause })
  // grpc-js ends with a note of name resolution that is empty for addresses.
  const reason = detail.replace(/^etcdserver: /, '').replace(/\.? Resolution note:[ .]*$/, '').slice(0, 200)
  const certain = REFUSED.test(detail) || (Number(status) === UNAVAILABLE && NEVER_SENT.test(detail))
  return FABRIC.STORE_UNREACHABLE({ store: about.store, reason }, { cause, outcome: certain ? 'not-started' : 'unknown', ...(REFUSED.test(detail) ? { internal: REFUSED_FOR_GOOD } : {}) })
}
const REFUSED_FOR_GOOD = 'refused'
export const isRefusedForGood = (error: CodedError): boolean => error.internal === REFUSED_FOR_GOOD
