// Whoever should not, may not: one row a trick. 0 accepted of all of them (reliability.md 8), each beside the honest question
// that is answered, so that a row cannot pass because everything is refused.

import t from 'tap'
import { aclLab } from './lab.ts'
import type { LabOptions } from './lab.ts'

const ALICE = { alice: { groups: ['ops'], roles: ['operator'] }, bob: {}, mallory: {} }
interface Case { readonly trick: string; readonly lab: LabOptions; /** principal, verb, place, via */ readonly asks: readonly (readonly [string, string, string, string?])[]; readonly honest?: readonly [string, string, string, string?] }

const grant = (...written: readonly string[]): LabOptions => ({ users: ALICE, rules: { web1: written } })
const START = grant('allow user:alice vm:start')
const honest = ['user:alice', 'start', 'web1'] as const
const each = (principals: readonly string[], verb = 'start', place = 'web1'): readonly (readonly [string, string, string])[] => principals.map((principal) => [principal, verb, place])

const CASES: readonly Case[] = [
  { trick: 'look-alikes of a user', lab: START, honest, asks: each(['user:Alice', 'user:alice ', ' user:alice', 'user:alice\n', 'user:alice\0', 'user:\u0430lice', 'user:ali\u200bce', 'USER:alice', 'user::alice', 'user:alice:', 'user:', 'user', 'alice', 'user:alice/', 'user:alice//', 'user:alice/../bob', 'user:bob/../alice', 'user:bob/user:alice', 'user:alice,user:bob', 'user:*', '*']) },
  { trick: 'look-alikes of the administrator', lab: { users: ALICE }, honest: ['local:0', 'start', 'web1'], asks: each(['local:', 'local:00', 'local:0x0', 'local:-1', 'local:0/../0', 'local:0/', 'local:0//', 'local:0/x/', 'local:0/x', 'local:1e3', 'local:\u0660', 'local:99999999999', 'LOCAL:0', 'xlocal:0', 'local:0\n', 'local:0 ']) },
  { trick: 'service names', lab: { users: ALICE, grants: { 'system:agent': ['operate'] } }, honest: ['system:agent', 'start', 'web1'], asks: each(['system:agentx', 'system:agent/', 'system:agent/x', 'system:AGENT', 'node:01234567', 'node:', 'system:', 'system:lease', 'system:__proto__']) },
  { trick: 'inherited names', lab: { users: ALICE, roles: {} }, asks: [...each(['user:__proto__', 'user:constructor', 'user:tostring', '__proto__', 'constructor', 'group:ops', 'role:operator', 'fn:keep']), ...each(['local:0/__proto__', 'local:0/constructor'])] },
  { trick: 'nobody, and the open door', lab: grant('allow user:nobody *:*', 'allow group:ops *:*', 'allow role:operator *:*'), honest: ['user:alice', 'start', 'web1'], asks: each(['nobody', 'http:open', 'nobody/vm:start', 'http:open/x', 'http:closed', '']) },
  { trick: 'a narrowed one wants more', lab: { users: ALICE, roles: { operator: ['*:*'] } }, honest: ['user:alice/vm:start', 'start', 'web1'], asks: [...each(['user:alice/vm:read', 'user:alice/vm:stop+vm:read', 'user:alice/*:read', 'user:alice/pool:*', 'user:alice/vm:start/vm:read', 'user:alice/vm:read/vm:start', 'user:alice/vm:start/tenant', 'user:alice/tenant', 'user:alice/tenant/vm:start', 'user:alice/vm:start+', 'user:alice/+vm:start', 'user:alice/vm:', 'user:alice/:start', 'user:alice/*:*:*', 'user:alice/vm:start+*', 'user:alice/__proto__:*']), ['user:alice/vm:start', 'stop', 'web1'], ['user:alice/vm:start', 'acls', 'web1']] },
  { trick: 'a narrowed administrator wants more', lab: { users: ALICE }, honest: ['local:0/vm:operate', 'start', 'web1'], asks: [['local:0/vm:operate', 'acls', 'web1'], ['local:0/vm:read', 'start', 'web1'], ['local:0/tenant', 'acls', 'web1'], ['local:0/tenant', 'patch', 'web1'], ['local:0/vm:operate/tenant', 'start', 'web1'], ['local:0/vm:operate/pool:read', 'info', 'web1']] },
  { trick: 'a rule for one narrowed name is not for another, nor for one below it', lab: grant('allow local:0/ci vm:start'), honest: ['local:0/ci', 'start', 'web1'], asks: each(['local:0/ci2', 'local:0/c', 'local:1/x', 'local:0/x/ci', 'local:0/ci/x']) },
  { trick: 'a rule for a user\'s narrowed name gives no more than the user has', lab: grant('allow user:bob/ci vm:start'), asks: each(['user:bob/ci', 'user:bob']) },
  { trick: 'escaping a denial by a narrowing', lab: { users: ALICE, rules: { web1: ['allow local:0/ci vm:start', 'deny local:0 vm:start', 'deny user:alice vm:start', 'allow user:alice/ci vm:start', 'allow user:alice *:*'] } }, honest: ['user:alice', 'stop', 'web1'], asks: each(['local:0', 'local:0/ci', 'user:alice', 'user:alice/ci', 'user:alice/vm:start', 'user:alice/*:*']) },
  { trick: 'a denial for one narrowed name, and those below it', lab: { users: ALICE, rules: { m1: ['deny local:0/ci vm:read'] } }, honest: ['local:0/other', 'info', 'web1'], asks: each(['local:0/ci', 'local:0/ci/x', 'local:0/ci/vm:read'], 'info') },
  ...['web1', 'p1', 'm1', 'global'].flatMap((denied): Case[] => ['web1', 'p1', 'm1', 'global'].map((allowed) => ({
    trick: `allowed on ${allowed}, denied on ${denied}`, honest: ['user:alice', 'stop', 'web1'],
    lab: { users: ALICE, rules: { [allowed]: ['allow user:alice vm:*'], [denied]: [...(allowed === denied ? ['allow user:alice vm:*'] : []), 'deny group:ops vm:start'] } },
    asks: [['user:alice', 'start', 'web1']],
  }))),
  ...['user:alice', 'group:ops', 'role:operator', '*'].map((principal): Case => ({ trick: `a denial for ${principal} beats a role of everything`, honest: ['user:alice', 'stop', 'web1'], lab: { users: ALICE, roles: { operator: ['*:*'] }, rules: { global: [`deny ${principal} *:start`] } }, asks: [['user:alice', 'start', 'web1'], ['user:alice/vm:start', 'start', 'web1']] })),
  { trick: 'neighbours: rules hold below, not above nor beside', lab: { users: ALICE, rules: { web1: ['allow user:bob *:*'] } }, honest: ['user:bob', 'start', 'web1'], asks: [['user:bob', 'start', 'lone'], ['user:bob', 'info', 'm1'], ['user:bob', 'info', 'p1'], ['user:bob', 'info', 'global'], ['user:bob', 'info', 'vol'], ['user:bob', 'exec', 'm1']] },
  { trick: 'a pool\'s rules and a VM that it does not manage', lab: { users: ALICE, rules: { p1: ['allow user:bob *:*'] } }, honest: ['user:bob', 'start', 'web1'], asks: [['user:bob', 'start', 'lone'], ['user:bob', 'info', 'lone'], ['user:bob', 'mode', 'global']] },
  { trick: 'another kind, another verb, another category', lab: grant('allow user:bob vm:read', 'allow user:bob pm:*', 'allow user:bob snapshot:*'), honest: ['user:bob', 'info', 'web1'], asks: [['user:bob', 'start', 'web1'], ['user:bob', 'patch', 'web1'], ['user:bob', 'acls', 'web1'], ['user:bob', 'audit', 'web1'], ['user:bob', 'clone', 'web1'], ['user:bob', 'console', 'web1'], ['user:bob', 'watch', 'web1']] },
  { trick: 'rights that are none', lab: grant('allow user:bob *', 'allow user:bob :', 'allow user:bob vm', 'allow user:bob vm:', 'allow user:bob :start', 'allow user:bob vm:start:now', 'allow user:bob VM/start', 'allow user:bob v*:start', 'allow user:bob vm:st*', 'allow user:bob vm:Start', 'allow user:bob __proto__:*', 'allow user:bob vm:__proto__', 'allow user:bob constructor', 'allow user:bob rocket:*', 'allow user:bob vm:start\n', 'allow user:alice vm:start'), honest, asks: [['user:bob', 'start', 'web1'], ['user:bob', 'info', 'web1']] },
  { trick: 'names of groups and roles', lab: { users: { ...ALICE, eve: { groups: ['ops/admin', 'role:operator', '*', '__proto__', 'ops ', 'OPS', 'group:ops'], roles: ['__proto__', 'constructor', 'group:ops', '*'] } }, roles: { operator: ['*:*'] }, rules: { web1: ['allow group:ops vm:start'] } }, honest, asks: [['user:eve', 'start', 'web1'], ['user:eve', 'info', 'web1'], ['user:bob', 'start', 'web1']] },
  { trick: 'a user named like a group, a group named like a user', lab: { users: { ops: {}, x: { groups: ['alice'] }, alice: {} }, rules: { web1: ['allow group:ops vm:start', 'allow user:alice vm:stop'] } }, honest: ['user:alice', 'stop', 'web1'], asks: [['user:ops', 'start', 'web1'], ['user:x', 'stop', 'web1']] },
  { trick: 'a user who was cut off', lab: { users: { alice: { groups: ['ops'], roles: ['admin'], revoked: true }, bob: {} }, roles: { admin: ['*:*'] }, rules: { web1: ['allow user:alice *:*', 'allow * vm:start'] } }, honest: ['user:bob', 'start', 'web1'], asks: [['user:alice', 'start', 'web1'], ['user:alice', 'info', 'web1'], ['user:alice/vm:start', 'start', 'web1'], ['user:alice', 'start', 'web1', 'keep']] },
  { trick: 'a user whom nobody knows any more', lab: { users: { bob: {} }, rules: { web1: ['allow user:alice *:*', 'allow * vm:start'] } }, honest: ['user:bob', 'start', 'web1'], asks: [['user:alice', 'start', 'web1'], ['user:alice', 'info', 'web1']] },
  { trick: 'a function beyond its deployer', lab: grant('allow fn:keep vm:start', 'allow user:alice vm:start'), honest: ['user:alice', 'start', 'web1', 'keep'], asks: [['user:bob', 'start', 'web1', 'keep'], ['nobody', 'start', 'web1', 'keep']] },
  { trick: 'a function that is denied by its name', lab: grant('deny fn:keep *:*', 'allow user:alice vm:start'), honest: ['user:alice', 'start', 'web1', 'other'], asks: [['user:alice', 'start', 'web1', 'keep'], ['local:0', 'start', 'web1', 'keep'], ['local:0', 'acls', 'web1', 'keep']] },
  { trick: 'functions\' principals past the function\'s own judge', lab: { users: ALICE }, asks: each(['fn:keep@0123456789ab/local:0', 'fn:keep@0123456789ab#7/user:alice', 'fn:a@0123456789ab/fn:b@0123456789ab/local:0']) },
  { trick: 'rules by whoever may not change them', lab: { users: ALICE, rules: { web1: ['allow user:bob vm:read vm:update vm:operate vm:create vm:delete vm:execute vm:inspect vm:watch', 'allow user:alice vm:acls'] } }, honest: ['user:alice', 'acls', 'web1'], asks: [['user:bob', 'acls', 'web1'], ['user:bob', 'audit', 'web1'], ['local:0/x', 'acls', 'web1'], ['user:alice', 'audit', 'web1']] },
  { trick: 'repairing is for rules alone, and for the machine\'s administrator alone', lab: { users: { alice: { roles: ['admin'] } }, roles: { admin: ['*:*'] }, rules: { global: ['deny * *:*'] } }, honest: ['local:0', 'acls', 'web1'], asks: [['user:alice', 'acls', 'web1'], ['local:0', 'start', 'web1'], ['local:0', 'info', 'web1'], ['local:0/vm:administer', 'acls', 'web1']] },
  { trick: 'too long, too many', lab: START, honest, asks: each([`user:${'a'.repeat(64)}`, `user:alice/${'x'.repeat(2_000)}`, `user:alice${'/vm:start'.repeat(9)}`]) },
]

let asked = 0
for (const { trick, lab, asks, honest: may } of CASES) {
  t.test(trick, (t) => {
    const acl = aclLab(lab)
    for (const [principal, verb, place, via] of asks) {
      asked++
      t.equal(acl.ask(principal, verb, place, via), false, `${JSON.stringify(principal)} ${verb} ${place}${via === undefined ? '' : ` by ${via}`}`)
    }
    if (may !== undefined) t.equal(acl.ask(...may), true, `${may.join(' ')} may`)
    t.end()
  })
}
t.test('enough of them', (t) => { t.ok(asked >= 80, `${asked} asked`); t.end() })
