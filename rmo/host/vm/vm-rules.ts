// Access rules of a VM on its way: they belong to the VM, so they are with it wherever it is, and are stored before it
// can be reached there. Audit and account are not: they say what happened on this host, and stay.
//
// A VM that is removed takes its rules with it. One that only vanished (virsh undefine, a transient one that stopped)
// leaves them: it may be defined again under the same uuid, and must not come back open to those it was closed to.

import type { Ledger } from '../../ledger.ts'
import type { AclRule } from '../../object.ts'

/** What a host needs of its node's ledger. */
export interface RulesLedger extends Pick<Ledger, 'rules' | 'setRules'> {
  /** The object is gone for good: its rules go everywhere. Left out: setRules() does. */
  dropRules?(of: { readonly kind: string; readonly uuid: string }): Promise<void>
}

export interface VmRules {
  of(uuid: string): readonly AclRule[]
  /** Durable when it resolves. */
  take(uuid: string, rules: readonly AclRule[]): Promise<void>
  /** It is elsewhere now. */
  forget(uuid: string): Promise<void>
  /** It was removed. */
  drop(uuid: string): Promise<void>
}

/** Without a ledger (a bare host in a test) there are none. */
export function createVmRules(ledger: RulesLedger | undefined): VmRules {
  const of = (uuid: string): readonly AclRule[] => ledger?.rules({ kind: 'VM', uuid }) ?? []
  const take = async (uuid: string, rules: readonly AclRule[]): Promise<void> => {
    if (rules.length > 0 || of(uuid).length > 0) await ledger?.setRules({ kind: 'VM', uuid }, rules)
  }
  const forget: VmRules['forget'] = (uuid) => take(uuid, [])
  return { of, take, forget, drop: async (uuid) => (ledger?.dropRules === undefined ? forget(uuid) : ledger.dropRules({ kind: 'VM', uuid })) }
}
