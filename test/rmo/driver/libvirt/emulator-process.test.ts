// Which process runs a guest, and how one that was not our child ended: on plain processes that are called as QEMU is.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'tap'

const UUID = '6f0a2c1e-0f6b-4f5e-9d2b-3a1f0c9e7b51'
const OTHER = '7f0a2c1e-0f6b-4f5e-9d2b-3a1f0c9e7b51'
const linux = process.platform === 'linux' ? false : 'absent: Linux'
/** PIDFD_GET_INFO tells how a process ended that somebody has reaped. */
const [major = 0, minor = 0] = release().split('.').map(Number)
const tells = major > 6 || (major === 6 && minor >= 15)

test('emulators as the kernel sees them', { skip: linux }, async (t) => {
  const { causeOfDeath, closeProcess, emulatorOf, openProcess } = await import('../../../../rmo/driver/libvirt/emulator-process.ts')
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-emulator-'))
  const children: ChildProcess[] = []
  t.teardown(async () => {
    for (const child of children) child.kill('SIGKILL')
    await rm(directory, { recursive: true, force: true })
  })
  /** Ends with the status that it is told on its standard input. */
  const guest = async (): Promise<ChildProcess & { readonly pid: number }> => {
    const child = spawn('sh', ['-c', 'echo up; read status; exit $status', 'qemu', '-name', 'guest=web', '-uuid', UUID, '-S'], { stdio: ['pipe', 'pipe', 'inherit'] })
    children.push(child)
    await once(child.stdout, 'data')
    await writeFile(join(directory, 'web.pid'), String(child.pid))
    return child as ChildProcess & { readonly pid: number }
  }
  const cause = async (end: (child: ChildProcess) => void): Promise<string | undefined> => {
    const child = await guest()
    const opened = openProcess(child.pid, UUID)
    if (opened === undefined) throw new Error('no descriptor of a process of our own')
    end(child)
    await once(child, 'exit')
    const found = causeOfDeath(opened)
    closeProcess(opened)
    return found
  }

  const child = await guest()
  t.equal(emulatorOf(directory, 'web', UUID), child.pid)
  t.equal(emulatorOf(directory, 'web', OTHER), undefined, 'the number is of another guest by now')
  t.equal(emulatorOf(directory, 'db', UUID), undefined, 'it does not run')
  await writeFile(join(directory, 'db.pid'), 'not a number')
  t.equal(emulatorOf(directory, 'db', UUID), undefined)
  t.equal(openProcess(child.pid, OTHER), undefined)
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.equal(openProcess(child.pid, UUID), undefined, 'it has ended')

  const say = (status: number) => (to: ChildProcess): void => { to.stdin?.end(`${status}\n`) }
  t.equal(await cause(say(0)), undefined, 'in good order')
  if (!tells) return t.comment('this kernel does not say how a process ended')
  t.equal(await cause(say(3)), 'status 3')
  t.equal(await cause((to) => { to.kill('SIGKILL') }), 'signal 9')
  t.equal(await cause((to) => { to.kill('SIGTERM') }), 'signal 15', 'QEMU itself ends with 0 then')
})
