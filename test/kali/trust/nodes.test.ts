// A node is cut off and let in again, among three real nodes: links end, calls fail, it is told why, it stays so over restarts.

import t from 'tap'
import { TRUST_METHODS } from '../../../kali/trust/wire.ts'
import { openTrustNode } from '../../support/trust-node.ts'
import type { Door } from '../../support/trust-node.ts'
import { until } from '../../support/until.ts'

const stateAt = async (door: Door, name: string): Promise<string | undefined> => (await door.call('node.members') as { name: string; state: string }[]).find((member) => member.name === name)?.state
const all = async (doors: readonly Door[], names: readonly string[]): Promise<boolean> => {
  for (const door of doors) for (const name of names) if (await stateAt(door, name) !== 'alive') return false
  return true
}

t.test('three nodes: beta is revoked by alpha', async (t) => {
  const alpha = await openTrustNode(t)
  const a = await alpha.open('own')
  const ticket = async (): Promise<string> => await a.call('node.ticket', {}) as string
  const beta = await openTrustNode(t, { name: 'beta', join: await ticket() })
  const b = await beta.open('own')
  // Admitted by beta, before.
  const gamma = await openTrustNode(t, { name: 'gamma', join: await b.call('node.ticket', {}) as string })
  const c = await gamma.open('own')
  await until('the members agree', () => all([a, b, c], ['alpha', 'beta', 'gamma']))
  const late = await b.call('node.ticket', {}) as string

  await t.rejects(a.call('node.revoke', { node: 'bta', reason: '' }), { code: 'KALI_ERR_NODE_UNKNOWN', message: /did you mean beta/ })
  await t.rejects(a.call('node.revoke', { node: 'alpha', reason: '' }), { code: 'KALI_ERR_NODE_NEEDED' })
  await t.rejects(b.call('node.revoke', { node: 'alpha', reason: '' }), { code: 'KALI_ERR_NODE_NEEDED', message: /store copy/ }, 'who holds the store is not cut off')
  const users = await beta.open('users')
  await t.rejects(users.call('node.revoke', { node: 'gamma', reason: '' }), { code: /LOGIN_NEEDED|METHOD_DENIED/ })

  const began = Date.now()
  t.match(await a.call('node.revoke', { node: 'beta', reason: 'stolen' }), { name: 'beta', by: /^local:/, reason: 'stolen' })
  await until('it is known', async () => await stateAt(a, 'beta') === 'dead' && await stateAt(c, 'beta') === 'dead')
  t.comment(`known and dead at both others after ${Date.now() - began} ms`)
  t.match(await a.call('node.revoked'), [{ name: 'beta' }])
  t.equal(await stateAt(a, 'gamma'), 'alive', 'whom it had admitted stays')

  await until('it is known', async () => (await b.call('node.info') as { revoked?: unknown }).revoked !== undefined)
  t.match(await b.call('node.info'), { revoked: { code: 'FABRIC_ERR_REVOKED', message: /stolen/ } }, 'it is told why')
  await t.rejects(b.call('node.ticket', {}), { code: 'FABRIC_ERR_REVOKED', message: /kumoi node admit/ }, 'and so is its shell')
  await t.rejects(b.call(TRUST_METHODS.show), { code: 'FABRIC_ERR_REVOKED' })

  await t.rejects(openTrustNode(t, { name: 'delta', join: late }), { code: /FABRIC_ERR_(REVOKED|REVOKED_ADMISSION|JOIN_FAILED)/ }, 'a ticket of the revoked node admits nobody')

  t.match(await a.call('node.admit', { node: 'gamma' }), { as: 'member' })
  t.match(await a.call('node.admit', { node: 'beta' }), { as: 'readmitted', name: 'beta' })
  await until('the members agree', () => all([a, b, c], ['alpha', 'beta', 'gamma']))
  await until('its own records say so', async () => (await b.call('node.info') as { revoked?: unknown }).revoked === undefined)
  t.ok(await b.call('node.ticket', {}), 'it serves its shell again')
})

t.test('a ticket for one key', async (t) => {
  const alpha = await openTrustNode(t)
  const a = await alpha.open('own')
  const { nodeKey } = await import('../../../kali/mod.ts')
  const key = await nodeKey(`${alpha.folder}/other`)
  const answer = await a.call('node.admit', { node: key }) as { as: string; ticket: string }
  t.match(answer, { as: 'ticket', ticket: /^kumoi2/ })
  await t.rejects(openTrustNode(t, { name: 'beta', join: answer.ticket }), { code: 'FABRIC_ERR_TICKET_BOUND' }, 'another machine')
  await t.rejects(a.call('node.admit', { node: key.slice(1) }), { code: 'KALI_ERR_NODE_UNKNOWN' })
})
