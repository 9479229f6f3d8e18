// The networks of a libvirt host: NetworkDriver over the operations of operations/network.ts.

import type { NetworkDriver, NetworkRecord } from '../contract.ts'
import type { Calls } from './calls.ts'

export function createLibvirtNetworks(calls: Pick<Calls, 'call'>): NetworkDriver {
  const subject = (name: string) => ({ kind: 'Network', name })
  return {
    define: async (network, call) => await calls.call('networkDefine', network, call, subject(network.name)) as NetworkRecord,
    async start(uuid, call) { await calls.call('networkStart', { uuid }, call, subject(uuid)) },
    async stop(uuid, call) { await calls.call('networkStop', { uuid }, call, subject(uuid)) },
    async setAutostart(uuid, autostart, call) { await calls.call('networkSetAutostart', { uuid, autostart }, call, subject(uuid)) },
    async undefine(uuid, call) { await calls.call('networkUndefine', { uuid }, call, subject(uuid)) },
  }
}
