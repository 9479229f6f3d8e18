// `kumoi node list|key|admit|revoke` and `kumoi token` against a real node.

import { join } from 'node:path'
import t from 'tap'
import { proofHolds, readProof } from '../../kali/http-proof.ts'
import { connect } from '../../kali/mod.ts'
import { startNode } from '../../kali/start.ts'
import { readToken } from '../../kali/trust/tokens.ts'
import { fakeKali } from '../support/fake-datacenter.ts'
import { shellRun } from '../support/shell-run.ts'
import type { ShellRun } from '../support/shell-run.ts'
import { openTrustNode } from '../support/trust-node.ts'

t.test('nodes are listed, revoked and admitted by name and by key', async (t) => {
  const lab = await openTrustNode(t)
  const fake = { ...fakeKali(), kali: { connect, startNode } }
  const env = { KUMOI_CONFIG: join(lab.folder, 'config') }
  const run = (args: readonly string[], stdin = ''): Promise<ShellRun> => shellRun(args, { fake, stdin, env: { ...env, KUMOI_DATA: lab.data } })
  const there = await shellRun(['node', 'key'], { fake, env: { ...env, KUMOI_DATA: join(lab.folder, 'there') } })
  t.match(there, { status: 0, stdout: /^[0-9a-f]{64}\n$/ })
  const key = there.stdout.trim()
  t.equal((await shellRun(['node', 'key'], { fake, env: { ...env, KUMOI_DATA: join(lab.folder, 'there') } })).stdout.trim(), key, 'the same again')

  t.match(await run(['node', 'list']), { status: 0, stdout: /alpha +alive/ })
  t.match(await run(['node', 'admit', key, '--lifetime', '10m']), { status: 0, stdout: /^kumoi2[0-9a-z]+\n$/, stderr: /that key only/ })
  t.match(await run(['node', 'revoke', 'alpha', '--yes']), { status: 1, stderr: /KALI_ERR_NODE_NEEDED/ })
  t.match(await run(['node', 'revoke', 'gamma', '--yes']), { status: 1, stderr: /KALI_ERR_NODE_UNKNOWN/ })
  t.match(await run(['node', 'revoke', key, '--yes', '--reason', 'a lost disk']), { status: 0, stdout: /is cut off/ }, 'a key that never was a member\'s')
  t.match(await run(['node', 'list']), { stdout: /revoked.*by local:\d+: a lost disk/ })
  const ticket = (await run(['ticket'])).stdout.trim()
  await t.rejects(startNode({ data: join(lab.folder, 'there'), name: 'gamma', listen: '127.0.0.1', join: ticket, hypervisor: { driver: 'none' } }), { code: 'FABRIC_ERR_REVOKED', message: /a lost disk/ })
  t.match(await run(['node', 'admit', key.slice(0, 12)]), { status: 0, stdout: /may come back/ })

  t.match(await run(['token', 'https://127.0.0.1:1/functions/f']), { status: 1, stderr: /KALI_ERR_LOGIN_NEEDED/ })
  t.match(await run(['token', 'nowhere']), { status: 2 })
  await run(['login', 'alice'], 'correct horse\n')
  const { stdout } = await run(['token', '--body', '{"a":1}', 'https://127.0.0.1:1/functions/f?x=1'])
  const [, token = '', header = ''] = /^Authorization: Bearer (\S+)\nKumoi-Proof: (\S+)\n$/.exec(stdout) ?? []
  const proof = readProof(header)
  if (proof === undefined) throw new Error(stdout)
  const { holder } = readToken(token, () => true)
  t.ok(proofHolds(holder, { host: '127.0.0.1:1', method: 'POST', target: '/functions/f?x=1', token, body: Buffer.from('{"a":1}') }, proof))
})
