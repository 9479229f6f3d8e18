// Principals and rights as texts: what is composed is parsed again to the same, and composing never widens.

import t from 'tap'
import { kumoiKinds } from '../../../kali/mod.ts'
import { ACL_VERBS, narrowPrincipal, parsePrincipal, parseRight, patternProblem, rulePrincipalProblem, SERVICE_RIGHTS, serviceRight, userPrincipal } from '../../../rmo/mod.ts'
import { fc } from '../../support/property.ts'
import { aclLab, PLACES } from './lab.ts'

const VERBS = ['info', 'acls', 'dump', 'patch'] as const
const right = fc.constantFrom('vm:start', 'vm:read', 'vm:*', '*:read', '*:*', 'pool:operate', '*:administer', 'snapshot:revert', 'pm:execute', 'vm:acls')
const root = fc.constantFrom('local:0', 'local:1000', 'user:alice', 'user:bob', 'nobody', 'system:agent')
const segment = fc.oneof(fc.constantFrom('tenant', 'ci'), fc.array(right, { minLength: 1, maxLength: 3 }).map((rights) => rights.join('+')))
const principal = fc.tuple(root, fc.array(segment, { maxLength: 3 })).map(([first, rest]) => [first, ...rest].join('/'))

t.test('a principal that parses is its root and its narrowings, and nothing else', (t) => {
  fc.assert(fc.property(principal, (text) => {
    const parsed = parsePrincipal(text)
    const again = [parsed?.root.text, ...(parsed?.narrowings ?? []).map((narrowing) => (narrowing.by === 'name' ? narrowing.principal.split('/').at(-1) : narrowing.patterns.join('+')))].join('/')
    t.equal(again, text)
  }))
  t.end()
})

t.test('any text at all either is one principal or is nobody, and never throws', (t) => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 80 }), fc.constantFrom('', 'user:', 'local:', 'local:0/', 'user:alice/'), (rest, first) => {
    const parsed = parsePrincipal(first + rest)
    if (parsed !== undefined) t.ok(/^(local:\d{1,10}|user:[a-z0-9][a-z0-9._-]*|system:[a-z0-9-]+|node:[0-9a-f]{8}|nobody|http:open)(\/|$)/.test(parsed.text), parsed.text)
    rulePrincipalProblem(first + rest)
    parseRight(first + rest)
  }), { numRuns: 2_000 })
  t.end()
})

t.test('narrowed is never more than it was, whatever the rules', (t) => {
  const rules = fc.dictionary(fc.constantFrom(...PLACES), fc.array(fc.tuple(fc.constantFrom('allow', 'deny'), fc.constantFrom('user:alice', 'group:ops', 'local:0', 'local:0/ci', 'user:alice/ci', '*'), right).map((words) => words.join(' ')), { maxLength: 4 }))
  fc.assert(fc.property(rules, fc.constantFrom('local:0', 'user:alice', 'user:bob'), fc.array(segment, { minLength: 1, maxLength: 2 }), fc.constantFrom(...PLACES), fc.constantFrom(...VERBS), (written, who, segments, place, verb) => {
    const acl = aclLab({ rules: written, users: { alice: { groups: ['ops'], roles: ['reader'] }, bob: {} }, roles: { reader: ['*:read'] } })
    if (!acl.ask(who, verb, place)) t.notOk(acl.ask([who, ...segments].join('/'), verb, place), `${who}/${segments.join('/')} ${verb} ${place}`)
  }), { numRuns: 1_000 })
  t.end()
})

t.test('one rule more that denies never lets anybody do more', (t) => {
  const who = fc.constantFrom('user:alice', 'user:bob', 'local:0', 'local:0/ci', 'nobody', '*', 'group:ops')
  const allows = fc.array(fc.tuple(who, right).map(([name, verbs]) => `allow ${name} ${verbs}`), { maxLength: 4 })
  fc.assert(fc.property(allows, who, right, fc.constantFrom(...PLACES), fc.constantFrom(...PLACES), fc.constantFrom('user:alice', 'user:bob', 'local:0', 'local:0/ci', 'nobody'), (allow, name, verbs, at, place, asker) => {
    const users = { alice: { groups: ['ops'] }, bob: {} }
    const before = aclLab({ users, rules: { [at]: allow } }), after = aclLab({ users, rules: { [at]: [...allow, `deny ${name} ${verbs}`] } })
    for (const verb of VERBS) if (!before.ask(asker, verb, place)) t.notOk(after.ask(asker, verb, place))
  }), { numRuns: 1_000 })
  t.end()
})

t.test('composing', (t) => {
  t.equal(userPrincipal('alice'), 'user:alice')
  for (const name of ['Alice', '', 'a/b', 'a b', '*', '../x', 'a'.repeat(64), '\u0430lice']) t.equal(userPrincipal(name), undefined, JSON.stringify(name))
  t.equal(narrowPrincipal('user:alice', ['vm:read', 'start']), 'user:alice/vm:read+*:start')
  for (const [who, rights] of [['user:alice', []], ['user:alice', ['*']], ['user:alice', ['vm:read/local:0']], ['user:alice', ['vm:read+*:*:']], ['user:Alice', ['vm:read']], ['alice', ['vm:read']]] as const) t.equal(narrowPrincipal(who, rights), undefined, `${who} ${rights.join()}`)
  t.end()
})

t.test('principals of rules, and rights, are told of when they are none', (t) => {
  for (const good of ['*', 'user:alice', 'group:ops', 'group:domain admins', 'role:operator', 'local:0', 'local:0/tenant', 'fn:keep', 'system:agent', 'user:alice/ci']) t.equal(rulePrincipalProblem(good), undefined, good)
  for (const bad of ['', 'alice', 'user:Alice', 'group: ops', 'group:ops ', 'group:a  b', 'role:', 'role:a b', 'fn:Keep', 'fn:keep@0123456789ab', 'fn:keep/user:alice', 'user:alice/vm:read', '**', 'user:*', '__proto__', 'has space']) t.match(rulePrincipalProblem(bad), /a principal such as/, bad)
  for (const acl of Object.keys(ACL_VERBS)) t.equal(patternProblem(`vm:${acl}`, kumoiKinds), undefined)
  for (const good of ['vm:start', 'VMs:start', 'read', '*:*', 'start', 'vm:console', 'function:deploy', 'secret:administer', 'function:*']) t.equal(patternProblem(good, kumoiKinds), undefined, good)
  for (const [bad, says] of [['vm:fly', /one of the verbs .*start/], ['rocket:read', /a kind that exists .*vm.*function/], ['*', /a kind and a verb/], ['pool:start', /one of the verbs/], ['function:fly', /deploy/], ['fly', /one of the verbs/], ['__proto__:read', /a kind/]] as const) t.match(patternProblem(bad, kumoiKinds), says, bad)
  t.match(patternProblem('function:deploy', kumoiKinds, 'objects only'), /a kind that exists/)
  for (const [kind, rights] of SERVICE_RIGHTS) for (const [verb, acl] of rights) t.same(serviceRight(`${kind}:${verb}`), { kind, verb, acl })
  for (const none of ['function', 'function:fly', ':', '__proto__:x', 'vm:start']) t.equal(serviceRight(none), undefined, none)
  t.end()
})
