import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { systemRandom } from '../../../fabric/clock.ts'
import { extendChain } from '../../../fabric/identity/certificate.ts'
import { openIdentity } from '../../../fabric/identity/store.ts'
import { makeDataDir } from '../../support/transport-nodes.ts'

const open = (dir: string) => openIdentity(dir, { random: systemRandom })

test('keys are made once, private, and survive a restart with the fabric', async (t) => {
  const dir = await makeDataDir(t)
  const first = await open(dir)
  t.equal(first.fabric, undefined)
  await first.found()
  await first.remember({ name: 'alpha', port: 4100, bootstraps: ['10.0.0.1:4100'] })
  for (const file of ['keys/node.key', 'keys/fabric.key', 'fabric.json']) t.equal((await stat(join(dir, file))).mode & 0o777, 0o600, file)
  const again = await open(dir)
  t.equal(again.keys.id, first.keys.id)
  t.same(again.fabric, first.fabric)
  t.ok(again.founder)
  t.equal(again.fabric?.name, 'alpha')
  await t.rejects(again.found(), { code: 'FABRIC_ERR_FABRIC_FOREIGN' })
})

test('a member adopts only a chain that certifies it, and only one fabric', async (t) => {
  const founder = await open(await makeDataDir(t))
  const { id, chain } = await founder.found()
  const member = await open(await makeDataDir(t))
  const grown = extendChain(id, chain, founder.keys, member.keys.id)
  await t.rejects(member.adopt({ id, chain, bootstraps: [], members: [] }), { code: 'FABRIC_ERR_CERTIFICATE_INVALID' })
  await member.adopt({ id, chain: grown, bootstraps: [], members: [] })
  t.notOk(member.founder)
  t.same((await open(member.dataDir)).fabric?.chain, grown)
  const other = await open(await makeDataDir(t))
  const foreign = await other.found()
  await t.rejects(member.adopt({ ...foreign, chain: extendChain(foreign.id, foreign.chain, other.keys, member.keys.id) }), { code: 'FABRIC_ERR_FABRIC_FOREIGN' })
})

test('a node that could not listen after all founds nothing, and may join another fabric', async (t) => {
  const founder = await open(await makeDataDir(t))
  const { id, chain } = await founder.found()
  const member = await open(await makeDataDir(t))
  await member.found()
  await member.unfound()
  t.equal(member.fabric, undefined)
  t.equal((await open(member.dataDir)).fabric, undefined)
  await member.adopt({ id, chain: extendChain(id, chain, founder.keys, member.keys.id), bootstraps: [], members: [] })
  await member.remember({ host: '127.0.0.1' })
  const again = await open(member.dataDir)
  t.equal(again.fabric?.id, id)
  t.equal(again.fabric?.host, '127.0.0.1')
  t.notOk(again.founder)
})

test('a directory that cannot be made is refused, with what to do, and without waiting', async (t) => {
  const dir = await makeDataDir(t)
  await writeFile(join(dir, 'file'), '')
  for (const path of [join(dir, 'file'), join(dir, 'file/below'), '/proc/absent', '/proc/absent/below']) {
    await t.rejects(open(path), { code: 'FABRIC_ERR_DATA_DIRECTORY', message: /--data DIR/ }, path)
  }
  t.equal((await open(join(dir, 'a/b'))).dataDir, join(dir, 'a/b'))
})

test('a damaged file is refused and left alone', async (t) => {
  const dir = await makeDataDir(t)
  await (await open(dir)).found()
  for (const [file, text] of [['fabric.json', '{"id":'], ['fabric.json', '{}'], ['keys/node.key', 'zz\n']] as const) {
    const kept = await readFile(join(dir, file), 'utf8')
    await writeFile(join(dir, file), text)
    await t.rejects(open(dir), { code: 'FABRIC_ERR_IDENTITY_DAMAGED' })
    t.equal(await readFile(join(dir, file), 'utf8'), text)
    await writeFile(join(dir, file), kept)
  }
})
