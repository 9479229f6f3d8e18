// The libvirt driver keeps the contract of drivers, over libvirt's own test hypervisor: no daemon, all state in this process.

import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { systemClock, systemRandom } from '../../../../fabric/base.ts'
import { createLibvirtDriver } from '../../../../rmo/driver/libvirt/driver.ts'
import { driverSuite } from '../../../conformance/driver.ts'

const absent = existsSync('/usr/lib/x86_64-linux-gnu/libvirt.so.0') || existsSync('/usr/lib/aarch64-linux-gnu/libvirt.so.0') || existsSync('/usr/lib64/libvirt.so.0') ? undefined : 'absent: libvirt.so.0'
const make = () => createLibvirtDriver({ uri: 'test:///default', clock: systemClock, random: systemRandom })

if (absent !== undefined) t.test('libvirt test:///default', { skip: absent }, () => {})
else await driverSuite(t, {
  name: 'libvirt test:///default',
  async setup() {
    const directory = await mkdtemp(join(tmpdir(), 'kumoi-test-driver-'))
    const driver = make()
    // The test hypervisor forgets everything with its last connection.
    const holder = make()
    await holder.open()
    return {
      driver, poolPath: join(directory, 'pool'),
      skip: {
        reboot: 'the test hypervisor tells nothing of a reboot',
        crash: 'the test hypervisor has no emulator to kill',
        'missing-disk': 'the test hypervisor opens no disks',
        stats: 'the test hypervisor counts states only',
        'attach-cold': 'the test hypervisor plugs no devices', 'attach-hot': 'the test hypervisor plugs no devices', 'attach-interface': 'the test hypervisor plugs no devices',
        console: 'the test hypervisor has no consoles',
        migration: 'the test hypervisor does not migrate', 'migration-cancel': 'the test hypervisor does not migrate', 'migration-refused': 'the test hypervisor does not migrate',
        volume: 'the test hypervisor resizes no volumes', 'volume-in-use': 'the test hypervisor keeps no backing files', 'volume-upload': 'the test hypervisor has no volume streams',
      },
      again: async () => make(),
      async teardown() {
        await Promise.all([driver.close(), holder.close()])
        await rm(directory, { recursive: true, force: true })
      },
    }
  },
})
