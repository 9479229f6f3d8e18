// A real node with a directory in memory, and connections through its doors as a program that knows the protocol has them.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../fabric/base.ts'
import { connectLocal, createRegistry, createRpcPeer } from '../../fabric/client.ts'
import type { RpcPeer } from '../../fabric/mod.ts'
import type { RunningNode } from '../../kali/contract.ts'
import { startNode } from '../../kali/node.ts'
import { makeHolderKeys, proveHolder } from '../../kali/trust/holder.ts'
import type { HolderKeys } from '../../kali/trust/holder.ts'
import { TRUST_METHODS } from '../../kali/trust/wire.ts'
import type { Challenge, LoginAnswer, LoginBody, WhoAmI } from '../../kali/trust/wire.ts'
import { fakeDirectory } from './fake-directory.ts'
import type { FakeDirectory } from './fake-directory.ts'

export interface Door {
  readonly peer: RpcPeer
  /** The error that ended it; undefined for none. */
  readonly ended: Promise<Error | undefined>
  call(method: string, body?: unknown): Promise<unknown>
  login(body: Partial<LoginBody> & { readonly user: string }): Promise<LoginAnswer>
  present(token: string, keys?: HolderKeys): Promise<WhoAmI>
}

export interface TrustNode {
  readonly node: RunningNode
  readonly directory: FakeDirectory
  readonly keys: HolderKeys
  readonly folder: string
  readonly data: string
  readonly usersSocket: string
  /** Through the node's own socket, or the users'. */
  open(door?: 'own' | 'users'): Promise<Door>
}

export interface TrustNodeOptions {
  /** Default alpha. */
  readonly name?: string
  /** Ticket of the fabric to join. */
  readonly join?: string
  /** Its HTTP door, with TLS. */
  readonly http?: { readonly listen: string; readonly cert: string; readonly key: string }
  /** 'ldap': what the fabric's settings say, instead of the one in memory. */
  readonly directory?: 'memory' | 'ldap'
}

export async function openTrustNode(t: { teardown(after: () => Promise<void>): unknown }, { name = 'alpha', join: ticket, http, directory: kind = 'memory' }: TrustNodeOptions = {}): Promise<TrustNode> {
  const folder = await mkdtemp(join(tmpdir(), 'kumoi-trust-'))
  const doors: Door[] = []
  let node: RunningNode | undefined
  t.teardown(async () => {
    for (const { peer } of doors) peer.close()
    await node?.stop()
    await rm(folder, { recursive: true, force: true })
  })
  const data = join(folder, name), usersSocket = join(folder, 'users.sock')
  const directory = fakeDirectory({ alice: { password: 'correct horse', groups: ['ops', 'staff'] }, bob: { password: 'battery staple', groups: ['staff'] } })
  const keys = makeHolderKeys()
  node = await startNode({ data, name, listen: '127.0.0.1', hypervisor: { driver: 'memory' }, usersSocket, ...(http === undefined ? {} : { http: http.listen, httpTls: { cert: http.cert, key: http.key } }), ...(ticket === undefined ? {} : { join: ticket }) }, kind === 'ldap' ? {} : { directory })
  const running = node
  return {
    node: running, directory, keys, folder, data, usersSocket,
    async open(door = 'users') {
      const channel = await connectLocal(door === 'own' ? running.socket : usersSocket, systemClock)
      const peer = createRpcPeer({ channel, caller: { via: 'socket', uid: 0 }, registry: createRegistry(), clock: systemClock })
      const call = (method: string, body: unknown = null): Promise<unknown> => peer.call(method, body, { timeoutMs: 20_000 })
      const opened: Door = {
        peer, call,
        ended: new Promise((resolve) => peer.onClose(resolve)),
        login: async (body) => await call(TRUST_METHODS.login, { password: directory.users.get(body.user)?.password ?? '', holder: keys.publicKey, verbs: [], nodes: [], ...body }) as LoginAnswer,
        async present(token, given = keys) {
          const challenge = await call(TRUST_METHODS.challenge) as Challenge
          return await call(TRUST_METHODS.present, { token, proof: proveHolder(given.privateKey, { ...challenge, token }) }) as WhoAmI
        },
      }
      doors.push(opened)
      return opened
    },
  }
}
