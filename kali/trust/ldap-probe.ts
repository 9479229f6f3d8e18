// A look at a directory step by step, with the checks of a login and no user: for "kumoi trust ldap test", and before settings are
// kept. Ends at the first step that fails; a step that does not fail says what was found.

import type { Clock } from '../../fabric/base.ts'
import { errorCode } from '../../fabric/base.ts'
import { KALI } from '../errors.ts'
import type { LdapSettings } from './contract.ts'
import { Away } from './ldap-connect.ts'
import { planLdap } from './ldap-settings.ts'
import type { LdapPlan } from './ldap-settings.ts'
import { CODE } from './ldap-user.ts'
import { bindToSearch, inTime, withLdap } from './ldap.ts'
import type { LdapSession } from './ldap.ts'

export interface LdapProbeStep {
  readonly step: 'reached' | 'tls' | 'bound' | 'users' | 'groups'
  readonly ok: boolean
  /** What was found, or why not; a sentence without its end, "TLSv1.3, certificate until ...". */
  readonly says: string
}
export interface LdapProbe { readonly settings: LdapSettings; /** Of the account that searches. */ readonly bindPassword?: string | undefined; readonly clock: Clock; readonly signal?: AbortSignal }

/** The steps that were taken; the last one is not ok if something failed. Errors: KALI_ERR_DIRECTORY_SETTINGS only. */
export async function probeLdap({ settings, bindPassword, clock, signal }: LdapProbe): Promise<readonly LdapProbeStep[]> {
  const plan = planLdap(settings)
  const steps: LdapProbeStep[] = []
  let next: LdapProbeStep['step'] = 'reached'
  const done = (step: LdapProbeStep['step'], says: string, then: LdapProbeStep['step']): void => {
    steps.push({ step, ok: true, says })
    next = then
  }
  try {
    await inTime(plan, { clock, signal }, (all) => withLdap(plan, { signal: all, onReached: () => done('reached', `${plan.host} port ${plan.port}`, 'tls') }, async (session) => {
      done('tls', `${session.protocol}, certificate until ${session.certificateUntil}`, 'bound')
      await bindToSearch(plan, session, bindPassword)
      done('bound', plan.bindDn ?? 'as nobody: the settings name no account that searches', 'users')
      done('users', await usersOf(plan, session), 'groups')
      done('groups', await baseOfGroups(settings, session), 'groups')
    }))
  } catch (error) {
    if (errorCode(error) !== KALI.DIRECTORY_AWAY.code) throw error
    steps.push({ step: next, ok: false, says: (error as { readonly details: { readonly reason: string } }).details.reason })
  }
  return steps
}

async function usersOf(plan: LdapPlan, session: LdapSession): Promise<string> {
  if (plan.userBaseNamed) return 'not looked at: where a user is, his name decides'
  const base = plan.userBase('')
  const { code, entries } = await session.search(base, { filter: `(${plan.nameAttribute}=*)`, attributes: ['1.1'], sizeLimit: 1 })
  if (code !== CODE.success && code !== CODE.sizeLimit) throw new Away(code === CODE.noSuchObject ? `the user base ${base} is not there, or not for the account that searches` : `it did not search ${base} (code ${code})`)
  if (entries.length === 0) throw new Away(`below ${base} the account that searches sees no entry with a ${plan.nameAttribute}`)
  return base
}

async function baseOfGroups({ groupBase, groupFilter }: LdapSettings, session: LdapSession): Promise<string> {
  if (groupBase === undefined) return 'those that memberOf names'
  const { code, entries } = await session.search(groupBase, { filter: '(objectClass=*)', attributes: ['1.1'], sizeLimit: 1, scope: 'base' })
  if (code !== CODE.success || entries.length === 0) throw new Away(code === CODE.success || code === CODE.noSuchObject ? `the group base ${groupBase} is not there, or not for the account that searches` : `it did not search ${groupBase} (code ${code})`)
  return groupFilter === undefined ? `those that memberOf names below ${groupBase}` : `${groupBase}, searched by ${groupFilter}`
}
