// `kumoi acl grant|deny|revoke WHO RIGHTS on PATH`: one rule more, or fewer rights in those that there are.

import { errorCode, LIMITS } from '../../../fabric/base.ts'
import { checkRulePrincipal, findPath, rightsOf, ruleText, splitOn } from '../../acl.ts'
import type { FoundPath, Ruled } from '../../acl.ts'
import { defineCommand } from '../../command.ts'
import type { AnyCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import type { DataCenter } from '../../../kali/contract.ts'
import type { AclRule } from '../../../rmo/mod.ts'
import { withDataCenter } from '../../session.ts'
import type { Shell } from '../../session.ts'

type Effect = AclRule['effect']

/** The same rights again in one rule of the same principal. */
function withRights(rules: readonly AclRule[], effect: Effect, principal: string, rights: readonly string[]): readonly AclRule[] {
  const same = rules.find((rule) => rule.effect === effect && rule.principal === principal)
  if (same === undefined) return [...rules, { effect, principal, verbs: rights }]
  return rules.map((rule) => (rule === same ? { ...rule, verbs: [...new Set([...rule.verbs, ...rights])] } : rule))
}

/** Without these rights (all of them: none given) in rules of that principal, allowing or denying. */
function withoutRights(rules: readonly AclRule[], principal: string, rights: readonly string[] | undefined): readonly AclRule[] {
  return rules.flatMap((rule) => {
    if (rule.principal !== principal) return [rule]
    const verbs = rights === undefined ? [] : rule.verbs.filter((verb) => !rights.includes(verb))
    return verbs.length === 0 ? [] : [{ ...rule, verbs }]
  })
}

/** What is likely a mistake, though it is done: a name that nobody has, a function that is not given more than its deployer, oneself locked out. */
async function warn({ out }: Shell, dc: DataCenter, principal: string, effect: Effect | undefined, { target, path }: FoundPath): Promise<void> {
  const [type, name = ''] = principal.split(/[:/]/)
  if (type === 'fn' && effect === 'allow') out.warn('a function acts within the rights of who deployed it: this rule gives it nothing; grant it to the deployer')
  if (effect !== undefined && (type === 'user' || type === 'group' || type === 'role')) {
    // Who may not see users is not told about them.
    const [users, roles] = await Promise.all([dc.trust.users(), dc.trust.roles()]).catch(() => [undefined, undefined])
    const known = type === 'role' ? roles?.some((role) => role.name === name) : users?.some((user) => (type === 'user' ? user.name === name : user.groups.includes(name)))
    if (known === false) out.warn(`no ${type} ${name} is known here yet: the rule holds as soon as there is one`)
  }
  const { principal: self } = await dc.trust.whoAmI()
  const { allowed } = await dc.acl.why({ principal: self, verb: 'acls', ...target }).catch(() => ({ allowed: false }))
  if (!allowed) out.warn(`you may not change the rules of ${path} any more; an administrator of a machine always can`)
}

const CHANGED: ReadonlySet<string | undefined> = new Set(['RMO_ERR_VERSION_CONFLICT', 'KALI_ERR_CHANGED'])

/** Of two who change the rules of an object at once neither undoes what the other did: who comes second reads them again. */
async function changeRules({ world: { clock }, interrupt }: Shell, object: Ruled, next: (rules: readonly AclRule[]) => readonly AclRule[]): Promise<readonly AclRule[]> {
  for (let tried = 1; ; tried++) {
    const was = await object.acls()
    try {
      return await object.acls(next(was), { was })
    } catch (error) {
      if (!CHANGED.has(errorCode(error)) || tried === LIMITS.aclTriesMax) throw error
      await interrupt.race(new Promise<void>((resolve) => { clock.after(LIMITS.aclAgainMs, resolve) }))
    }
  }
}

async function change(shell: Shell, dc: DataCenter, path: string, principal: string, effect: Effect | undefined, next: (rules: readonly AclRule[]) => readonly AclRule[]): Promise<number> {
  const found = await findPath(dc, shell.out, path)
  const rules = await changeRules(shell, found.object, next)
  shell.out.result(rules, () => (rules.length === 0 ? `${path} has no rules of its own` : rules.map(ruleText).join('\n')))
  await warn(shell, dc, principal, effect, found)
  return EXIT.done
}

export const grantCommand = (verb: 'grant' | 'deny'): AnyCommand => defineCommand({
  name: `acl ${verb}`,
  summary: verb === 'grant' ? 'Let somebody do something with an object and what is below it' : 'Keep somebody from something, whatever other rules allow',
  operands: '<who> <rights...>',
  details: `WHO is user:NAME, group:NAME, role:NAME, local:UID or "*"; RIGHTS are KIND:VERB, such as vm:start, vm:operate, *:read; then the word "on" and the PATH: global, pools/NAME, pms/NAME, vms/NAME. A rule holds for all that is below its object. ${verb === 'deny' ? 'A denying rule wins over every other, wherever it stands.' : 'A denying rule wins over it.'}`,
  options: {},
  examples: verb === 'grant'
    ? [{ command: 'kumoi acl grant group:ops vm:read,vm:operate on pools/pool1', does: 'they see, start and stop the VMs of the pool' }, { command: 'kumoi acl grant user:alice function:deploy function:invoke on global', does: 'she may deploy functions' }]
    : [{ command: 'kumoi acl deny group:interns vm:remove on vms/db1', does: 'not that one' }],
  output: 'value',
  run: async (shell, [who = '', ...words]) => {
    const { rights: given, path } = splitOn(`acl ${verb}`, words)
    checkRulePrincipal(who)
    const rights = await rightsOf(given)
    const effect = verb === 'grant' ? 'allow' : 'deny'
    return withDataCenter(shell, (dc) => change(shell, dc, path, who, effect, (rules) => withRights(rules, effect, who, rights)))
  },
})

export const revokeCommand = defineCommand({
  name: 'acl revoke',
  summary: 'Take rights out of the rules of an object, allowing and denying ones',
  operands: '<who> <rights...>',
  details: 'Rights as they stand in the rules (kumoi acl show), then "on" and the path; without rights, all rules of that name. Streams that are open end within seconds.',
  options: {},
  examples: [{ command: 'kumoi acl revoke group:ops vm:operate on pools/pool1', does: 'that right' }, { command: 'kumoi acl revoke group:ops on pools/pool1', does: 'every rule for the group there' }],
  output: 'value',
  run: async (shell, [who = '', ...words]) => {
    const { rights: given, path } = splitOn('acl revoke', words)
    const rights = given.length === 0 ? undefined : given.flatMap((word) => word.split(','))
    return withDataCenter(shell, (dc) => change(shell, dc, path, who, undefined, (rules) => withoutRights(rules, who, rights)))
  },
})
