// A process that writes intents into an audit log on disk as fast as it can, and says each that was acknowledged; to be
// killed at any moment: STORE LANES.

import { systemClock } from '../../fabric/base.ts'
import { openLocalStore } from '../../fabric/mod.ts'
import { createAuditLog } from '../../rmo/audit/log.ts'
import { intentOf } from './audit-lab.ts'

const [path = '', lanes = '8'] = process.argv.slice(2)
const log = createAuditLog({ store: await openLocalStore(path), clock: systemClock, node: 'child' })
await Promise.all(Array.from({ length: Number(lanes) }, async (_, lane) => {
  for (let n = 0; ; n++) {
    const operation = `${process.pid}-${lane}-${n}`
    const end = await log.begin(intentOf(operation))
    process.stdout.write(`${operation}\n`)
    end({ outcome: 'done' })
  }
}))
