// Two nodes and a real directory (slapd): the settings and their sealed password set at one node serve the other; who is cut
// off at one loses his session and his open watch at the other.

import { test } from 'tap'
import { TRUST_METHODS } from '../../../kali/trust/wire.ts'
import type { LoginAnswer } from '../../../kali/trust/wire.ts'
import { ALICE_PASSWORD, READER_PASSWORD, slapdAbsent, startSlapd } from '../../support/slapd.ts'
import { openTrustNode } from '../../support/trust-node.ts'
import { until } from '../../support/until.ts'

test('a login at one node, revoked at the other', { skip: slapdAbsent }, async (t) => {
  const slapd = await startSlapd(t)
  const alpha = await openTrustNode(t, { directory: 'ldap' })
  const admin = await alpha.open('own')
  const beta = await openTrustNode(t, { name: 'beta', directory: 'ldap', join: String(await admin.call('node.ticket', { lifetimeMs: null })) })
  const there = await beta.open('own')

  await t.rejects((await beta.open()).login({ user: 'alice', password: ALICE_PASSWORD }), { code: 'KALI_ERR_DIRECTORY_NONE' })
  await t.rejects(admin.call(TRUST_METHODS.ldapSet, slapd.settings), { code: 'KALI_ERR_TRUST_INVALID' }, 'no password for the account that searches')
  await admin.call(TRUST_METHODS.ldapSet, { ...slapd.settings, password: READER_PASSWORD })
  t.notMatch(JSON.stringify(await admin.call(TRUST_METHODS.show)), READER_PASSWORD)
  const steps = async (): Promise<readonly { readonly ok: boolean }[]> => await there.call(TRUST_METHODS.ldapTest).catch(() => []) as readonly { readonly ok: boolean }[]
  await until('beta can ask the directory', async () => { const done = await steps(); return done.length === 5 && done.every(({ ok }) => ok) })
  await admin.call(TRUST_METHODS.setRole, { name: 'reader', groups: ['ops'], users: [], patterns: ['*:read', '*:watch'] })

  const door = await beta.open()
  await t.rejects(door.login({ user: 'alice', password: 'wrong' }), { code: 'KALI_ERR_LOGIN_REFUSED' })
  const { token } = await door.login({ user: 'ALICE', password: ALICE_PASSWORD })
  t.match(await door.present(token, beta.keys), { principal: 'user:alice', node: 'beta', user: { groups: ['lab users', 'ops'] } })
  await until('beta knows the role', async () => (await door.call(TRUST_METHODS.whoami) as { readonly user: { readonly roles: readonly string[] } }).user.roles.includes('reader'))
  const elsewhere = await alpha.open()
  t.match(await elsewhere.present(token, beta.keys), { principal: 'user:alice', node: 'alpha' }, 'a token is good on every node')
  const bound = await beta.open()
  const { token: atBeta } = await bound.login({ user: 'alice', password: ALICE_PASSWORD, nodes: ['beta'] }) as LoginAnswer
  await t.rejects((await alpha.open()).present(atBeta, beta.keys), { code: 'KALI_ERR_TOKEN_REFUSED' }, 'but for one that names its nodes')

  const watch = door.peer.open('node.watch', null, { timeoutMs: 60_000 })
  watch.result.catch(() => {})
  const reading = watch.read().then(() => 'more', (error: { readonly code?: string }) => error.code)
  await admin.call(TRUST_METHODS.revoke, { name: 'alice' })
  t.match(await door.ended, { code: 'KALI_ERR_SESSION_ENDED' }, 'at the other node')
  t.equal(await reading, 'KALI_ERR_SESSION_ENDED')
  t.match(await elsewhere.ended, { code: 'KALI_ERR_SESSION_ENDED' })
  await t.rejects((await beta.open()).present(token, beta.keys), { code: 'KALI_ERR_USER_REVOKED' })

  await slapd.stop()
  await admin.call(TRUST_METHODS.restore, { name: 'alice' })
  await t.rejects((await alpha.open()).login({ user: 'alice', password: ALICE_PASSWORD }), { code: 'KALI_ERR_DIRECTORY_AWAY' }, 'no new logins while it is away')
})
