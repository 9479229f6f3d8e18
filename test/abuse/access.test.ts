// Row 47 of reliability.md 3.4 on a real node: shipped functions that call objects outside their caller's rules are denied, by the
// home of the object, and the refusal is in the audit.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { connect, startNode } from '../../kali/mod.ts'
import { errorCode } from '../../fabric/base.ts'
import { referenceRecord } from '../../rmo/mod.ts'

const codesOf = (outcomes: readonly { readonly status: string; readonly error?: unknown }[]): readonly unknown[] => outcomes.map(({ status, error }) => (status === 'error' ? errorCode(error) ?? (error as { code?: unknown }).code : status))

t.test('row 47: call an object outside the caller\'s rules', async (t) => {
  const data = mkdtempSync(join(tmpdir(), 'kumoi-abuse-access-'))
  t.teardown(() => rmSync(data, { recursive: true, force: true }))
  const node = await startNode({ data, name: 'alpha', listen: '127.0.0.1:0', hypervisor: { driver: 'memory' } })
  t.teardown(() => node.stop())
  const own = await connect({ data, login: false })
  t.teardown(() => own.close())
  const tenant = await connect({ data, login: false, as: 'tenant' })
  t.teardown(() => tenant.close())

  const [alpha] = await own.pms
  if (alpha === undefined) throw new Error('no machine')
  const tried = await tenant.pms.dmap((pm) => pm.exec('id')).settled()
  t.same(codesOf(tried), ['RMO_ERR_DENIED'], 'a verb beyond a narrowed principal')
  const carried = await tenant.from([1]).dmap(() => alpha.exec('id')).settled()
  t.same(codesOf(carried), ['RMO_ERR_DENIED'], 'through a reference that was carried in')
  const caught = await tenant.pms.dmap(async (pm) => { try { await pm.acls([{ effect: 'allow', principal: 'local:0/tenant', verbs: ['*:*'] }]); return 'allowed' } catch (error) { return (error as { code: string }).code } })
  t.same(caught, ['RMO_ERR_DENIED'], 'giving itself more')

  await alpha.acls([{ effect: 'deny', principal: '*', verbs: ['*:read'] }])
  t.same(codesOf(await tenant.pms.dmap((pm) => pm.info()).settled()).filter((code) => code === 'value'), [], 'a rule that denies reading')
  t.same((await tenant.pms).filter((pm) => referenceRecord(pm)?.uuid === alpha.uuid), [], 'and it is not in the listing')
  await alpha.acls([])

  const denied = (await alpha.audit()).filter(({ outcome }) => outcome === 'denied')
  t.match(denied.map(({ principal, verb }) => `${principal} ${verb}`), ['local:0/tenant exec', 'local:0/tenant exec', 'local:0/tenant acls'])
  t.equal((await tenant.pms.dmap((pm) => pm.name))[0], 'alpha', 'what is allowed goes on')
})
