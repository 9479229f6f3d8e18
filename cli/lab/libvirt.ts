// A host's own libvirtd: its configuration, start, and the pools that every host of the lab has.
//
// Nothing of the machine's libvirt is used or touched: sockets, state and configuration lie in directories that only the host
// sees. TCP without authentication is open on the lab's cable alone, for migration between libvirtds.
// Source: libvirtd.conf(5) and qemu.conf as shipped with libvirt 9.

import { spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { cp, open, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import { LIMITS } from '../../fabric/base.ts'
import { CLI } from '../errors.ts'
import type { LabHost } from './contract.ts'
import { enter, folderOf, runIn } from './namespaces.ts'
import type { Place } from './namespaces.ts'
import { until } from './processes.ts'

export const LIBVIRT_URI = 'qemu:///system'
export const migrationUri = (host: LabHost): string => `qemu+tcp://${host.address}/system`

const quoted = (text: string): string => JSON.stringify(text)

const daemonConf = (host: LabHost, uuid: string): string => [
  'listen_tls = 0', 'listen_tcp = 1', 'auth_tcp = "none"', `listen_addr = ${quoted(host.address)}`,
  'auth_unix_rw = "none"', 'unix_sock_rw_perms = "0700"', `host_uuid = ${quoted(uuid)}`,
  // Migrations of several VMs at once, each with calls of its own.
  'max_clients = 200', 'max_workers = 40', 'prio_workers = 10',
  'log_outputs = "2:stderr"',
].map((line) => `${line}\n`).join('')

const qemuConf = (host: LabHost): string => [
  'user = "root"', 'group = "root"', 'dynamic_ownership = 0', 'remember_owner = 0',
  // The lab brings no cgroups, no AppArmor and no virtlogd of its own; a namespace per QEMU would hide /nfs from it.
  'security_driver = "none"', 'cgroup_controllers = [ ]', 'namespaces = [ ]', 'stdio_handler = "file"',
  `migration_address = ${quoted(host.address)}`, `migration_host = ${quoted(host.address)}`,
].map((line) => `${line}\n`).join('')

/** The same for the same lab, host and purpose, so that a host that is started again is the same host. */
export function stableUuid(...parts: readonly string[]): string {
  const hex = createHash('sha256').update(parts.join('\n')).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

export async function configureLibvirt(place: Place, host: LabHost): Promise<void> {
  const etc = join(folderOf(place.directory, host.name), 'etc')
  await mkdir(join(etc, 'qemu'), { recursive: true })
  await writeFile(join(etc, 'libvirtd.conf'), daemonConf(host, stableUuid(place.record.id, host.name)))
  await writeFile(join(etc, 'qemu.conf'), qemuConf(host))
}

/** A program that stays in the host until it is killed; its words go to a log. */
export async function startDaemon(place: Place, host: LabHost, command: readonly string[], log: string): Promise<void> {
  const [file = '', ...args] = [...await enter(place, host.name), ...command]
  const voice = await open(log, 'a', 0o600)
  // In the C locale libvirt cuts a domain's name between the bytes of a letter, and cannot start it.
  const child = spawn(file, args, { cwd: '/', detached: true, env: { ...process.env, LC_ALL: 'C.UTF-8' }, stdio: ['ignore', voice.fd, voice.fd] })
  child.once('error', () => {})
  await voice.close()
  child.unref()
}

/** Starts libvirtd unless it answers, and waits until it does. */
export async function startLibvirt(place: Place, host: LabHost): Promise<void> {
  const answers = (): Promise<boolean> => virsh(place, host, ['uri']).then(() => true, () => false)
  if (await answers()) return
  const log = join(folderOf(place.directory, host.name), 'log', 'libvirtd.log')
  // A host of its own would have a first process that reaps emulators at once; libvirt waits for that.
  const reaper = ['perl', join(dirname(place.holderScript), 'reaper.pl')]
  await startDaemon(place, host, [...reaper, 'libvirtd', '--listen', '--config', '/etc/libvirt/libvirtd.conf'], log)
  if (!await until(place.clock, LIMITS.labDaemonStartTimeoutMs, answers, place.signal)) throw CLI.LAB_FAILED({ step: `Starting libvirtd of ${host.name}`, reason: `it did not answer within ${LIMITS.labDaemonStartTimeoutMs} ms; its log is ${log}` })
}

const capabilitiesOf = (place: Place, host: LabHost): string => join(folderOf(place.directory, host.name), 'cache', 'qemu', 'capabilities')
const keptCapabilities = (imageCache: string): string => join(dirname(imageCache), 'libvirt-capabilities')

/**
 * What an emulator can do costs libvirtd 9 s to find out, and each host would. It is kept between labs, and handed to hosts
 * before their libvirtd starts, which checks it against the emulator's file and asks anew when that has changed.
 */
export async function bringCapabilities(place: Place, host: LabHost, imageCache: string): Promise<void> {
  await cp(keptCapabilities(imageCache), capabilitiesOf(place, host), { recursive: true, force: false }).catch(() => {})
}
/** Makes libvirtd find out now, not at a node's first question, which has a deadline. */
export async function keepCapabilities(place: Place, host: LabHost, imageCache: string): Promise<void> {
  await virsh(place, host, ['capabilities'])
  // Hosts of one lab may be at it at once: libvirtd discards what it cannot read.
  await cp(capabilitiesOf(place, host), keptCapabilities(imageCache), { recursive: true }).catch(() => {})
}

export const virsh = (place: Pick<Place, 'record' | 'signal'>, host: LabHost, args: readonly string[]): Promise<string> =>
  runIn(place, host.name, ['virsh', '-q', '-c', LIBVIRT_URI, ...args], `virsh ${args.join(' ')} on ${host.name}`)

/** Pools: "default" is the host's own; "nfs" and "images" are the same directory everywhere, and have the same uuid. */
const POOLS = [
  { name: 'default', path: '/var/lib/libvirt/images', shared: false },
  { name: 'nfs', path: '/nfs', shared: true },
  { name: 'images', path: '/nfs/images', shared: true },
] as const

export async function definePools(place: Place, host: LabHost): Promise<void> {
  const folder = folderOf(place.directory, host.name)
  await mkdir(join(folder, 'lib', 'images'), { recursive: true })
  const there = (await virsh(place, host, ['pool-list', '--all', '--name'])).split('\n').map((line) => line.trim())
  for (const { name, path, shared } of POOLS.filter((pool) => !there.includes(pool.name))) {
    const uuid = shared ? stableUuid(place.record.id, 'pool', name) : randomUUID()
    const file = join(folder, `pool-${name}.xml`)
    await writeFile(file, `<pool type='dir'><name>${name}</name><uuid>${uuid}</uuid><target><path>${path}</path></target></pool>\n`)
    await virsh(place, host, ['pool-define', file])
    await virsh(place, host, ['pool-autostart', name])
    await virsh(place, host, ['pool-start', name])
  }
}
