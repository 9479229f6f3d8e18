// Logins and sessions over the sockets of a real node, with a directory in memory.

import { stat } from 'node:fs/promises'
import { test } from 'tap'
import { LIMITS } from '../../../fabric/base.ts'
import { connect } from '../../../kali/mod.ts'
import { makeHolderKeys, proveHolder } from '../../../kali/trust/holder.ts'
import { TRUST_METHODS } from '../../../kali/trust/wire.ts'
import type { Challenge, LoginAnswer, TrustShown, UserRow } from '../../../kali/trust/wire.ts'
import { openTrustNode } from '../../support/trust-node.ts'

test('a users\' socket: nobody until a token is shown, its user from then on', async (t) => {
  const lab = await openTrustNode(t)
  t.equal((await stat(lab.usersSocket)).mode & 0o777, 0o666)
  t.equal((await stat(lab.node.socket)).mode & 0o777, 0o600)
  const door = await lab.open()
  t.match(await door.call(TRUST_METHODS.whoami), { principal: 'nobody' })
  for (const method of ['rmo.list', 'node.info', 'node.ticket', 'node.down', 'store.get', 'trust.show', 'trust.renew', 'nothing.here']) await t.rejects(door.call(method), { code: /LOGIN_NEEDED|UNKNOWN_METHOD/ }, method)
  const { token, principal } = await door.login({ user: 'Alice' })
    .catch(() => door.login({ user: 'alice' }))
  t.equal(principal, 'user:alice')
  t.match(await door.call(TRUST_METHODS.whoami), { principal: 'nobody' }, 'a login alone changes nothing')
  t.match(await door.present(token), { principal: 'user:alice', user: { name: 'alice', groups: ['ops', 'staff'], roles: [] } })
  t.match(await door.call('node.info'), { name: 'alpha' })
  for (const method of ['node.ticket', 'node.down', 'node.store.copy', 'store.get', 'blob.get', 'functions.call', 'functions.keep']) await t.rejects(door.call(method), { code: /NOT_FOR_USERS|UNKNOWN_METHOD|METHOD_DENIED/ }, method)
  await t.rejects(door.call('trust.show'), { code: /DENIED/ })

  const again = await lab.open()
  t.match(await again.present(token), { principal: 'user:alice' }, 'a token is good for its life')
  await t.rejects(again.present(token), { code: 'KALI_ERR_TOKEN_REFUSED' }, 'a connection is one user\'s')
  await t.rejects((await lab.open()).present(token, makeHolderKeys()), { code: 'KALI_ERR_TOKEN_REFUSED' }, 'another holder')
})

test('a challenge is good once, on its own connection', async (t) => {
  const lab = await openTrustNode(t)
  const first = await lab.open(), second = await lab.open()
  const { token } = await first.login({ user: 'alice' })
  const challenge = await first.call(TRUST_METHODS.challenge) as Challenge
  const body = { token, proof: proveHolder(lab.keys.privateKey, { ...challenge, token }) }
  await t.rejects(second.call(TRUST_METHODS.present, body), { code: 'KALI_ERR_TOKEN_REFUSED' }, 'no challenge there')
  await second.call(TRUST_METHODS.challenge)
  await t.rejects(second.call(TRUST_METHODS.present, body), { code: 'KALI_ERR_TOKEN_REFUSED' }, 'another challenge there')
  await t.rejects(first.call(TRUST_METHODS.present, { ...body, proof: '00'.repeat(64) }), { code: 'KALI_ERR_TOKEN_REFUSED' })
  await t.rejects(first.call(TRUST_METHODS.present, body), { code: 'KALI_ERR_TOKEN_REFUSED' }, 'spent by the failure')
  t.match(await first.present(token), { principal: 'user:alice' })
})

test('who is cut off is cut off at once, open streams and all', async (t) => {
  const lab = await openTrustNode(t)
  const admin = await lab.open('own')
  const door = await lab.open(), other = await lab.open()
  await door.present((await door.login({ user: 'alice' })).token)
  const bob = (await other.login({ user: 'bob' })).token
  await other.present(bob)
  await admin.call(TRUST_METHODS.setRole, { name: 'reader', groups: ['ops'], users: [], patterns: ['*:read', '*:watch'] })
  const watch = door.peer.open('node.watch', null, { timeoutMs: 60_000 })
  watch.result.catch(() => {})
  const reading = watch.read().then(() => 'more', (error: { readonly code?: string }) => error.code)

  t.match(await admin.call(TRUST_METHODS.revoke, { name: 'alice' }), { sessions: 1, user: { state: 'revoked', epoch: 1 } })
  t.match(await door.ended, { code: 'KALI_ERR_SESSION_ENDED', details: { user: 'alice' } })
  t.equal(await reading, 'KALI_ERR_SESSION_ENDED')
  t.match(await other.call('node.info'), { name: 'alpha' }, 'others stay')
  await t.rejects((await lab.open()).login({ user: 'alice' }), { code: 'KALI_ERR_USER_REVOKED' })
  const rows = await admin.call(TRUST_METHODS.users) as readonly UserRow[]
  t.match(rows, [{ name: 'alice', state: 'revoked', sessions: 0 }, { name: 'bob', state: 'active', sessions: 1 }])

  await admin.call(TRUST_METHODS.restore, { name: 'alice' })
  const restored = await lab.open()
  t.match(await restored.present((await restored.login({ user: 'alice' })).token), { principal: 'user:alice' })

  t.match(await admin.call(TRUST_METHODS.rotate), { tokenEpoch: 1, sessions: 2 })
  t.match(await Promise.all([restored.ended, other.ended]), [{ code: 'KALI_ERR_SESSION_ENDED' }, { code: 'KALI_ERR_SESSION_ENDED' }])
  await t.rejects((await lab.open()).present(bob), { code: 'KALI_ERR_TOKEN_REFUSED' })
  await t.rejects(admin.call(TRUST_METHODS.revoke, { name: 'carol' }), { code: 'KALI_ERR_USER_UNKNOWN' })
})

test('roles are what a user may do, from the moment they are set', async (t) => {
  const lab = await openTrustNode(t)
  const admin = await lab.open('own'), door = await lab.open()
  await door.present((await door.login({ user: 'alice' })).token)
  await t.rejects(door.call(TRUST_METHODS.show), { code: /DENIED/ })
  await admin.call(TRUST_METHODS.setRole, { name: 'admin', groups: ['Ops'], users: [], patterns: ['*:*'] })
  t.match(await door.call(TRUST_METHODS.show) as TrustShown, { users: 1, sessions: [{ user: 'alice' }] })
  t.match(await door.call(TRUST_METHODS.whoami), { user: { roles: ['admin'] } })
  const narrow = await lab.open()
  const { token, principal } = await narrow.login({ user: 'alice', verbs: ['VM:read', 'read', 'vm:start'] })
  t.equal(principal, 'user:alice/*:read+vm:start')
  await narrow.present(token)
  await t.rejects(narrow.call(TRUST_METHODS.show), { code: /DENIED/ }, 'narrowed')
  await admin.call(TRUST_METHODS.removeRole, { name: 'admin' })
  await t.rejects(door.call(TRUST_METHODS.show), { code: /DENIED/ })
  await t.rejects(admin.call(TRUST_METHODS.removeRole, { name: 'admin' }), { code: 'KALI_ERR_ROLE_UNKNOWN' })
})

test('a number of calls is counted over all connections, and is not renewed', async (t) => {
  const lab = await openTrustNode(t)
  const first = await lab.open(), second = await lab.open()
  const { token } = await first.login({ user: 'alice', calls: 3 })
  await first.present(token)
  await second.present(token)
  await first.call('node.info')
  await second.call('node.info')
  await first.call('node.info')
  await t.rejects(second.call('node.info'), { code: 'KALI_ERR_TOKEN_SPENT' })
  await t.rejects(first.call('node.info'), { code: 'KALI_ERR_TOKEN_SPENT' })
  await t.rejects(first.call(TRUST_METHODS.renew), { code: 'KALI_ERR_TOKEN_REFUSED' })
})

test('a live session gets new tokens of the same width', async (t) => {
  const lab = await openTrustNode(t)
  const door = await lab.open()
  await t.rejects(door.call(TRUST_METHODS.renew), { code: 'KALI_ERR_LOGIN_NEEDED' })
  const { token, expiresAtMs } = await door.login({ user: 'alice', verbs: ['vm:read'], nodes: ['alpha'], lifeMs: 3_600_000 })
  await door.present(token)
  const renewed = await door.call(TRUST_METHODS.renew) as LoginAnswer
  t.ok(renewed.expiresAtMs >= expiresAtMs && renewed.token !== token)
  t.equal(renewed.principal, 'user:alice/vm:read')
  t.ok(renewed.renewableUntilMs - renewed.issuedAtMs <= 3_600_000)
  t.match(await (await lab.open()).present(renewed.token), { principal: 'user:alice/vm:read' })
})

test('wrong passwords: one message, and an end of trying', async (t) => {
  const lab = await openTrustNode(t)
  const messages = new Set<string>()
  const door = await lab.open()
  for (const [user, password] of [['alice', 'wrong'], ['nobody-of-that-name', 'wrong']] as const) {
    const error = await door.login({ user, password }).then(() => undefined, (failed: Error & { readonly code?: string }) => failed)
    t.equal(error?.code, 'KALI_ERR_LOGIN_REFUSED')
    messages.add((error?.message ?? '').replaceAll(user, 'NAME'))
  }
  t.equal(messages.size, 1)
  await t.rejects(door.login({ user: 'alice', password: '' }), { code: 'KALI_ERR_LOGIN_REFUSED' })
  t.ok(await door.ended, 'the third wrong one ends the connection')
  t.notOk(lab.directory.asked.length > 2, 'an empty password is asked of nobody')
  let refused = 0
  for (let attempt = 0; attempt < LIMITS.loginTries + 3; attempt++) {
    const code = await (await lab.open()).login({ user: 'bob', password: 'wrong' }).then(() => '', (error: { readonly code: string }) => error.code)
    if (code === 'KALI_ERR_LOGIN_LATER') refused++
  }
  t.equal(refused, 3)
  await t.rejects((await lab.open()).login({ user: 'bob' }), { code: 'KALI_ERR_LOGIN_LATER' }, 'also with the right one, for a while')
  t.ok(await (await lab.open()).login({ user: 'alice' }), 'others log in')
  lab.directory.away = true
  await t.rejects((await lab.open()).login({ user: 'alice' }), { code: 'KALI_ERR_DIRECTORY_AWAY' })
})

test('the node\'s own socket: its administrator as ever, a user once a token is shown', async (t) => {
  const lab = await openTrustNode(t)
  const dc = await connect({ data: lab.data })
  t.teardown(() => dc.close())
  t.ok(await dc.ticket())
  const door = await lab.open('own')
  t.match(await door.call(TRUST_METHODS.whoami), { principal: `local:${process.getuid?.() ?? 0}` })
  await door.present((await door.login({ user: 'alice' })).token)
  await t.rejects(door.call('node.ticket'), { code: 'KALI_ERR_METHOD_DENIED' })
  await t.rejects(door.call('store.transact'), { code: 'KALI_ERR_NOT_FOR_USERS' })
  await t.rejects(door.call('trust.show'), { code: /DENIED/ })
})
