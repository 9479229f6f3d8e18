// What other nodes ask of the hosts of this one: rmo.migration, served. A node has one host, or a fleet of simulated ones.

import type { RpcRegistry } from '../../../fabric/mod.ts'
import { RMO } from '../../errors.ts'
import { MIGRATION_METHOD, readMessage } from './migration-messages.ts'
import type { HostMigrations } from './migration.ts'

/** Serves what other nodes ask of the hosts of this one. */
export function serveMigrations(registry: Pick<RpcRegistry, 'method'>, hosts: readonly { readonly machineUuid: string; hostName(): string; readonly migrations: HostMigrations }[]): void {
  const byMachine = new Map(hosts.map((host) => [host.machineUuid, host]))
  registry.method(MIGRATION_METHOD, async (body, call) => {
    const { caller } = call
    const message = readMessage(body)
    const host = byMachine.get(message.machine)
    // Shells ask VM.migrate; only another member's host speaks here.
    if (caller.via !== 'link') throw RMO.DENIED({ principal: call.principal, kind: 'VMM', name: host?.hostName() ?? message.machine, verb: MIGRATION_METHOD, acl: 'create', reason: 'only nodes of the fabric may' })
    if (host === undefined) throw RMO.OBJECT_UNKNOWN({ kind: 'PhysicalMachine', uuid: message.machine, node: 'this node' })
    return host.migrations.answer(message, caller, call)
  })
}
