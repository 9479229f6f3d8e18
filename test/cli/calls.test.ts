// invoke, calls, dead, redrive, discard, store: what the shell asks, prints and answers as its status.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { fakeKali } from '../support/fake-datacenter.ts'
import { shellRun } from '../support/shell-run.ts'

test('invoke: payload, options, answers', async (t) => {
  const fake = fakeKali()
  const plain = await shellRun(['--json', 'invoke', 'mail', '--payload', '{"to":"ops"}'], { fake })
  t.same(JSON.parse(plain.stdout), { echo: { to: 'ops' } })
  t.match(fake.calls, ['invoke mail {"payload":{"to":"ops"}}'])
  const file = join(t.testdir({ 'mail.json': '{"to":"file"}' }), 'mail.json')
  t.match((await shellRun(['invoke', 'mail@canary', '--payload', `@${file}`, '--target', 'node:beta', '--key', 'k1'], { fake })).stdout, /file/)
  t.match(fake.calls.at(2), 'invoke mail@canary {"payload":{"to":"file"},"target":"node:beta","idempotencyKey":"k1"}')
  t.same(JSON.parse((await shellRun(['--json', 'invoke', 'mail', '--async'], { fake })).stdout), { id: 'b'.repeat(16) })
})

test('invoke: what throws ends with status 1 and says where', async (t) => {
  const { status, stdout, stderr } = await shellRun(['invoke', 'thrower'])
  t.equal(status, 1)
  t.equal(stdout, '')
  t.match(stderr, /5 is too many/)
  t.match(stderr, /mail\.ts:4:20/)
  const all = await shellRun(['--json', 'invoke', 'mail', '--all'])
  t.equal(all.status, 1, 'one node failed')
  t.match(JSON.parse(all.stdout), [{ node: 'alpha', value: 1 }, { node: 'beta', error: { code: 'FUNCTIONS_ERR_THROWN' } }])
})

test('invoke: wrong usage is told before anything is asked', async (t) => {
  await writeFile(join(t.testdir(), 'x'), '')
  for (const args of [['invoke'], ['invoke', 'mail', '--payload', '{'], ['invoke', 'mail', '--all', '--async']]) {
    const fake = fakeKali()
    const { status, stderr } = await shellRun(args, { fake })
    t.equal(status, 2, stderr)
    t.same(fake.calls.filter((call) => call.startsWith('invoke')), [])
  }
})

test('calls and dead: tables for people, lists for programs, notes when there is none', async (t) => {
  t.match((await shellRun(['calls'])).stdout, /send-mail +a{16} +waiting/)
  t.match((await shellRun(['dead'])).stdout, /send-mail .*no mail today/)
  t.match(JSON.parse((await shellRun(['--json', 'dead'])).stdout), [{ name: 'send-mail', state: 'dead', error: { code: 'FUNCTIONS_ERR_THROWN' }, payload: { to: 'ops' } }])
  t.match(await shellRun(['calls', 'quiet']), { status: 0, stdout: '', stderr: /No call waits/ })
  t.match(await shellRun(['calls', 'nosuch']), { status: 1, stdout: '', stderr: /there is no function nosuch/ })
  t.equal((await shellRun(['--json', 'calls', 'quiet'])).stderr, '', 'programs get no words')
  t.match(await shellRun(['dead', 'quiet']), { status: 0, stdout: '', stderr: /No call has failed/ })
})

test('redrive and discard: some, or all', async (t) => {
  const fake = fakeKali()
  t.equal((await shellRun(['redrive', 'send-mail', 'one', 'two'], { fake })).status, 0)
  t.equal((await shellRun(['redrive', 'send-mail'], { fake })).status, 0)
  t.equal((await shellRun(['discard', 'send-mail', '--yes'], { fake })).status, 0)
  t.same(fake.calls.filter((call) => /^(redrive|discard)/.test(call)), ['redrive send-mail ["one","two"]', 'redrive send-mail all', 'discard send-mail all'])
})

test('store: where it is, and moving it', async (t) => {
  t.match((await shellRun(['store', 'status'])).stdout, /embedded at alpha/)
  const fake = fakeKali()
  t.match((await shellRun(['store', 'copy', 'etcd://a:2379', '--keep'], { fake })).stdout, /3 keys copied/)
  t.match(fake.calls, ['copy etcd://a:2379 {"keep":true}'])
})
