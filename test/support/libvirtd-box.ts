// A libvirtd in a box: network and process namespaces of its own beside what support/libvirtd.ts gives, so that the
// bridges and dnsmasqs of virtual networks stay inside, and the end of its first process is the end of all of it.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface LibvirtdBox {
  readonly uri: string
  /** Seen by the daemon and by the test; gone after stop. */
  readonly directory: string
  stop(): Promise<void>
}

/** Why a test that needs one must be skipped, or false. */
export function libvirtdBoxAbsent(): string | false {
  const missing = ['/usr/sbin/libvirtd', '/usr/bin/qemu-img'].filter((path) => !existsSync(path))
  if (missing.length > 0) return `absent: ${missing.join(', ')}`
  if (process.getuid?.() !== 0) return 'absent: root, for namespaces'
  return spawnSync('unshare', ['--mount', '--net', '--pid', '--fork', 'true']).status === 0 ? false : 'absent: namespaces (unshare)'
}

/** What is compiled into libvirt is the box's own. The shell stays as first process: it reaps the QEMUs that libvirtd has orphaned. */
const script = (directory: string): string => `
set -e
for at in /run /var/lib/libvirt /var/cache/libvirt /var/log/libvirt /etc/libvirt; do mkdir -p $at; mount -t tmpfs tmpfs $at; done
mkdir -p ${directory}/small; mount -t tmpfs -o size=8m tmpfs ${directory}/small
printf 'user = "root"\\ngroup = "root"\\nsecurity_driver = "none"\\nremember_owner = 0\\nnamespaces = []\\ncgroup_controllers = []\\nstdio_handler = "file"\\n' > /etc/libvirt/qemu.conf
ip link set lo up
/usr/sbin/libvirtd -f ${directory}/libvirtd.conf &
wait
`

/** `directory/small` is a file system of 8 MiB, of which the test sees nothing. */
export async function startLibvirtdBox(): Promise<LibvirtdBox> {
  const directory = mkdtempSync(join(tmpdir(), 'kumoi-libvirtd-box-'))
  const log = join(directory, 'libvirtd.log')
  writeFileSync(join(directory, 'libvirtd.conf'), [
    `unix_sock_dir = "${directory}"`, 'auth_unix_rw = "none"', 'auth_unix_ro = "none"', `log_outputs = "3:file:${log}"`,
    'host_uuid = "6f0a2c1e-0f6b-4f5e-9d2b-3a1f0c9e7b51"', '',
  ].join('\n'))
  const child = spawn('unshare', ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private', 'sh', '-c', script(directory)], { stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr.on('data', (bytes: Buffer) => { errors += bytes.toString() })
  const exit = once(child, 'exit')
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exit
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    await socketIn(directory, exit)
  } catch (error) {
    const said = errors + (existsSync(log) ? readFileSync(log, 'utf8') : '')
    await stop()
    throw new Error(`libvirtd did not start: ${said}`, { cause: error })
  }
  return { uri: `qemu:///system?socket=${directory}/libvirt-sock`, directory, stop }
}

function socketIn(directory: string, exit: Promise<unknown>): Promise<void> {
  return new Promise((resolve, reject) => {
    const watcher = watch(directory, look)
    const end = (how: () => void): void => { watcher.close(); how() }
    function look(): void { if (existsSync(join(directory, 'libvirt-sock'))) end(resolve) }
    look()
    exit.then(() => end(() => reject(new Error('it ended'))), reject)
  })
}
