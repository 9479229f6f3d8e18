// The memory driver keeps the contract of drivers; with a state file, a second driver finds what the first left.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { systemClock, systemRandom } from '../../../fabric/base.ts'
import { createMemoryDriver } from '../../../rmo/mod.ts'
import { driverSuite } from '../../conformance/driver.ts'

const BOOT_MS = 10

await driverSuite(t, {
  name: 'memory',
  async setup() {
    const directory = await mkdtemp(join(tmpdir(), 'kumoi-memory-'))
    const common = { clock: systemClock, random: systemRandom, bootMs: BOOT_MS, shutdownMs: 10, copyMiBps: 10_000 }
    const make = () => createMemoryDriver({ ...common, name: 'host1', state: join(directory, 'host1.json') })
    const driver = make(), peer = createMemoryDriver({ ...common, name: 'host2' })
    await peer.open()
    return {
      driver, peer, poolPath: '/simulated/pool',
      whenUp: async (uuid) => {
        const console = await driver.domains.openConsole(uuid, { remainingMs: () => 10_000 })
        await new Promise<void>((resolve) => console.onData(() => resolve()))
        console.close()
      },
      crash: (uuid) => driver.faults.crash(uuid),
      again: async () => make(),
      async teardown() {
        await Promise.all([driver.close(), peer.close()])
        await rm(directory, { recursive: true, force: true })
      },
    }
  },
})
