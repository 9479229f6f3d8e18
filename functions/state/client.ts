// `dc.functions.secrets`: the shell's end of secrets.ts. A value goes to the local node only, through its socket, and is sealed there.

import type { CallOptions, RpcPeer } from '../../fabric/mod.ts'
import type { SecretRow, SecretsApi } from '../deployed-api.ts'

export const SECRET_METHODS = { set: 'functions.secret.set', list: 'functions.secret.list', remove: 'functions.secret.remove' } as const

export function createSecretsClient({ peer, callOptions }: { readonly peer: Pick<RpcPeer, 'call'>; callOptions(): CallOptions }): SecretsApi {
  return {
    set: async (name, value) => await peer.call(SECRET_METHODS.set, { name, value }, callOptions()) as SecretRow,
    list: async () => await peer.call(SECRET_METHODS.list, null, callOptions()) as readonly SecretRow[],
    remove: async (name) => { await peer.call(SECRET_METHODS.remove, { name }, callOptions()) },
  }
}
