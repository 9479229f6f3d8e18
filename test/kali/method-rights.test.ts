// Every RPC method of a real node has a row that says what it asks, and the door asks it, by the call's own principal.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Registry } from '../../fabric/rpc/registry.ts'
import { createMethodDoor, guardDoors, isForUsers, METHOD_RIGHTS } from '../../kali/method-rights.ts'
import { kumoiKinds, startNode } from '../../kali/mod.ts'
import { createAccessPolicy, serviceRight } from '../../rmo/mod.ts'
import type { AclRule } from '../../rmo/mod.ts'

t.test('a node registers no method without a row, and each row names a right that there is', async (t) => {
  const names = new Set<string>()
  const kept = { method: Registry.prototype.method, stream: Registry.prototype.stream }
  t.teardown(() => { Object.assign(Registry.prototype, kept) })
  Registry.prototype.method = function method(name, handler) { names.add(name); kept.method.call(this, name, handler) }
  Registry.prototype.stream = function stream(name, handler) { names.add(name); kept.stream.call(this, name, handler) }
  const data = mkdtempSync(join(tmpdir(), 'kumoi-method-rights-'))
  t.teardown(() => rmSync(data, { recursive: true, force: true }))
  const node = await startNode({ data, name: 'alpha', listen: '127.0.0.1:0', hypervisor: { driver: 'memory' } })
  await node.stop()
  t.ok(names.size > 50, `${names.size} methods`)
  t.same([...names].filter((name) => !METHOD_RIGHTS.has(name)), [], 'give it a row in kali/method-rights.ts')
  t.same([...METHOD_RIGHTS.keys()].filter((name) => !names.has(name)), [], 'rows of methods that are no more')
  t.same([...METHOD_RIGHTS.values()].filter((row) => row.includes(':') && serviceRight(row) === undefined), [])
})

const door = (rules: readonly AclRule[] = []) => createMethodDoor(createAccessPolicy({
  kinds: kumoiKinds, rulesOf: () => rules, ancestors: (of) => [of], global: { kind: 'Global', uuid: 'g' },
  trust: { user: (name) => (name === 'alice' ? { groups: [], roles: [], revoked: false } : name === 'root' ? { groups: [], roles: ['admin'], revoked: false } : undefined), role: (name) => (name === 'admin' ? ['*:*'] : []), version: 0 },
}).may)
const judged = [...METHOD_RIGHTS].filter(([, row]) => row.includes(':')).map(([name]) => name)

t.test('nothing is let through that was not granted; what was is; narrowings hold', (t) => {
  const closed = door()
  for (const method of judged) {
    for (const principal of ['user:alice', 'nobody', 'http:open', 'user:mallory', 'local:0/../0', 'fn:keep@0123456789ab/local:0', 'user:root/vm:read', 'node:01234567', '']) t.match(closed(method, principal), { code: 'KALI_ERR_METHOD_DENIED' }, `${principal} ${method}`)
    t.equal(closed(method, 'local:0'), undefined, `the administrator may ${method}`)
    t.equal(closed(method, 'user:root'), undefined, `the role admin may ${method}`)
    const right = METHOD_RIGHTS.get(method) ?? ''
    t.equal(door([{ effect: 'allow', principal: 'user:alice', verbs: [right] }])(method, `user:alice/${right}`), undefined, `granted: ${right}`)
    t.match(door([{ effect: 'deny', principal: '*', verbs: [right] }])(method, 'user:root'), { code: 'KALI_ERR_METHOD_DENIED' }, `denied: ${right}`)
  }
  for (const [method, row] of METHOD_RIGHTS) {
    if (row !== 'machine' && row !== 'members') continue
    for (const principal of ['user:root', 'nobody', 'user:alice', 'fn:keep@0123456789ab/local:0']) t.match(closed(method, principal), { code: 'KALI_ERR_METHOD_DENIED' }, `${principal} ${method}`)
    t.notOk(isForUsers(method))
  }
  t.match(closed('a.later.method', 'user:root'), { code: 'KALI_ERR_METHOD_DENIED' }, 'one without a row is nobody\'s but the administrator\'s')
  t.match(closed('functions.deploy', 'local:0/x'), { code: 'KALI_ERR_METHOD_DENIED', message: /function:deploy/ })
  t.equal(closed('functions.run', 'local:0/x'), undefined, 'a tenant computes, as ever')
  t.end()
})

t.test('the door of a session: the right first, so that a refused call is not counted', (t) => {
  const asked: string[] = []
  const guarded = guardDoors({ admit: () => ({ principal: () => 'user:alice', refuse: (method) => { asked.push(method); return undefined } }) }, door())
  const visitor = guarded.admit?.({} as never)
  t.match(visitor?.refuse('functions.deploy', 'user:alice'), { code: 'KALI_ERR_METHOD_DENIED' })
  t.same(asked, [])
  t.equal(visitor?.refuse('rmo.invoke', 'user:alice'), undefined)
  t.same([visitor?.principal(), asked], ['user:alice', ['rmo.invoke']])
  t.equal(guarded.administers?.('node.down', 'local:0'), true)
  t.equal(guarded.administers?.('node.down', 'user:alice'), false)
  t.end()
})
