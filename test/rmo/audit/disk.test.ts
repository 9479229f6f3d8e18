// The audit log on a real disk: killed in the middle of writes, and on a disk that is full.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { LIMITS, systemClock } from '../../../fabric/base.ts'
import { openLocalStore } from '../../../fabric/mod.ts'
import { createChainReader, entryOf, startOf } from '../../../rmo/audit/chain.ts'
import { createAuditLog } from '../../../rmo/audit/log.ts'
import { act } from '../../support/audit-lab.ts'
import { until } from '../../support/until.ts'

const mountAbsent = process.getuid?.() === 0 && spawnSync('mount', ['--version']).status === 0 ? false : 'absent: root and mount'

function scratch(t: { teardown(after: () => void): unknown }): string {
  const directory = mkdtempSync(join(tmpdir(), 'kumoi-audit-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

t.test('killed in the middle: every acknowledged intent is there, none twice, and each has an outcome after the next start', async (t) => {
  const path = join(scratch(t), 'store')
  const acknowledged: string[] = []
  for (let kills = 0; kills < 4; kills++) {
    const child = spawn(process.execPath, [join(import.meta.dirname, '../../support/audit-child.ts'), path, '8'], { stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: process.env['PATH'] ?? '' } })
    t.teardown(() => { child.kill('SIGKILL') })
    const closed = once(child, 'close')
    const enough = acknowledged.length + 60 + 37 * kills
    let rest = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      acknowledged.push(...lines)
    })
    await until('acknowledged intents', () => acknowledged.length >= enough)
    child.kill('SIGKILL')
    await closed
  }
  const store = await openLocalStore(path)
  const log = createAuditLog({ store, clock: systemClock, node: 'child' })
  await log.flush()
  const rows = log.stored(1, log.head().size)
  const reader = createChainReader({ node: 'child', from: { size: 0, head: startOf('child') }, wanted: new Set() })
  for (const row of rows) reader.take(row)
  t.match(reader.end(), { findings: [], unmatched: 0, head: log.head() })
  const entries = rows.map(entryOf)
  const intents = entries.filter(({ phase }) => phase === 'intent').map(({ operation }) => operation)
  t.equal(new Set(intents).size, intents.length, 'none twice')
  const stored = new Set(intents)
  t.same(acknowledged.filter((operation) => !stored.has(`op-${operation}`)), [], `all ${acknowledged.length} acknowledged ones are there`)
  t.ok(entries.some(({ error }) => error?.startsWith('the node ended meanwhile') === true), 'what a kill left open')
  t.equal(entries.filter(({ phase }) => phase === 'outcome').length, intents.length)
  await log.close()
  await store.close()
})

t.test('a full disk: nothing privileged is begun, reads go on, and on it goes when there is room', { skip: mountAbsent }, async (t) => {
  const mount = scratch(t)
  t.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'kumoi-audit-test', mount]).status, 0)
  t.teardown(() => { spawnSync('umount', [mount]) })
  const store = await openLocalStore(join(mount, 'store'))
  const log = createAuditLog({ store, clock: systemClock, node: 'full' })
  let done = 0
  let refused: unknown
  for (; done < 20_000 && refused === undefined;) {
    await Promise.all(Array.from({ length: 32 }, (_, n) => act(log, `${done}-${n}`, { code: 'c'.repeat(LIMITS.auditTextCharsMax) }).then(() => { done++ }, (error: unknown) => { refused = error })))
  }
  t.match(refused, { code: 'RMO_ERR_AUDIT_UNAVAILABLE', outcome: 'not-started' })
  const before = log.head().size
  t.ok(before > 0)
  t.equal(log.stored(1, before).length, before, 'reads go on')
  // A single record may still find room in a page that was begun.
  await act(log, 'more').catch(() => {})
  t.equal(spawnSync('mount', ['-o', 'remount,size=16m', mount]).status, 0)
  await act(log, 'room')
  await log.flush()
  const reader = createChainReader({ node: 'full', from: { size: 0, head: startOf('full') }, wanted: new Set() })
  for (const row of log.stored(1, log.head().size)) reader.take(row)
  t.match(reader.end(), { findings: [], unmatched: 0, head: log.head() }, 'also the outcomes that had to wait')
  await log.close()
  await store.close()
})
