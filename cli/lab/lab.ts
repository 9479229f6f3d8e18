// A lab's life: up, down, and what befalls its hosts in between.
//
//   up:    image | cable -> for each host: namespaces -> bridge or Open vSwitch -> libvirtd -> pools -> node
//   down:  SIGKILL to all that carries the lab's mark -> remove its folders
//
// Each step of `up` leaves alone what is there, so that `up` also mends: after a power cut, a crash of anything, a restart
// of the machine. `up` of a new lab that fails or is interrupted leaves nothing. `down` needs nothing but the record.

import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'

import { LIMITS } from '../../fabric/base.ts'
import type { PhysicalMachine, StoragePool } from '../../rmo/mod.ts'
import { CLI } from '../errors.ts'
import type { HostState, LabHost, LabRecord, LabStatus, LabUpOptions } from './contract.ts'
import { guestImage } from './guest-image/build.ts'
import { bringCapabilities, configureLibvirt, definePools, keepCapabilities, startLibvirt } from './libvirt.ts'
import { CABLE, addressOf, folderOf, groupsOf, holderOf, makeCable, makeHost, part, plugBridge, processesOf, runIn } from './namespaces.ts'
import { nodeOf, processesOfHost, startNode, stopNode, withNode } from './nodes.ts'
import type { NodePlace } from './nodes.ts'
import { startOvs } from './ovs.ts'
import { endAll, nodesAndStartersIn, until } from './processes.ts'
import { readRecord, writeRecord } from './record.ts'
import { requireLibvirtLab } from './requirements.ts'

/** Where a lab is, and what of the shell it uses. */
export type LabWorld = Omit<NodePlace, 'record'> & { readonly imageCache: string; readonly recipe: string }

/** "host1/node/node.sock" and the folder before it must fit into a socket's address (108 bytes with the zero). */
const SOCKET_PATH_BYTES_MAX = 107

export async function labUp(world: LabWorld, options: LabUpOptions): Promise<{ readonly record: LabRecord; readonly changed: boolean }> {
  const { directory } = world
  const known = await readRecord(directory)
  const record = known ?? await newRecord(options)
  if (record.driver !== options.driver || record.hosts.length !== options.hosts || record.switch !== options.switch) {
    throw CLI.LAB_REFUSED({ what: `Lab ${record.name} in ${directory} cannot be changed`, reason: `it is of ${record.hosts.length} ${record.driver} hosts (switch ${record.switch})`, advice: 'Take it down first, or make another with --name.' })
  }
  if (record.driver === 'libvirt') await requireLibvirtLab(record.switch)
  const place = { ...world, record }
  const before = known === undefined ? undefined : await labStatus(world, known)
  if (before?.hosts.every(({ state }) => state === 'up') === true) return { record, changed: false }
  try {
    await writeRecord(directory, record)
    await raise(place, options)
  } catch (error) {
    if (known === undefined) await labDown(world, record)
    throw error
  }
  return { record, changed: true }
}

async function newRecord({ directory, name, hosts, driver, switch: kind }: LabUpOptions): Promise<LabRecord> {
  const there = await readdir(directory).catch(() => [])
  if (there.length > 0) throw CLI.LAB_REFUSED({ what: `No lab can be made in ${directory}`, reason: 'it is not empty', advice: 'Name an empty or new directory with --dir.' })
  const names = Array.from({ length: hosts }, (_, at) => `host${at + 1}`)
  const longest = join(directory, `host${hosts}`, 'node', 'node.sock')
  if (Buffer.byteLength(longest) > SOCKET_PATH_BYTES_MAX) throw CLI.LAB_REFUSED({ what: `No lab can be made in ${directory}`, reason: `the path of a socket in it would be longer than ${SOCKET_PATH_BYTES_MAX} bytes`, advice: 'Name a directory with a shorter path with --dir.' })
  return {
    version: 1, id: randomBytes(8).toString('hex'), name, driver, switch: kind, createdAtMs: Date.now(),
    hosts: names.map((host, at) => ({ name: host, index: at + 1, address: driver === 'memory' ? '127.0.0.1' : addressOf(at + 1), data: join(directory, host, 'node') })),
  }
}

/** Waits for all, also when one has failed: what is removed afterwards must not still be growing. */
async function all<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(work)
  const failed = settled.find((one) => one.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  return settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
}

async function raise(place: NodePlace & LabWorld, { onProgress = () => {} }: Pick<LabUpOptions, 'onProgress'>): Promise<void> {
  const { record } = place
  const [founder, ...others] = record.hosts
  if (founder === undefined) return
  const total = record.hosts.length * 2 + 1
  let done = 0
  const tick = (step: string): void => { place.signal?.throwIfAborted(); onProgress(step, done++, total) }
  const libvirt = record.driver === 'libvirt'
  await mkdir(join(place.directory, 'nfs', 'images'), { recursive: true })
  onProgress(libvirt ? 'guest image and namespaces' : 'nodes', 0, total)
  const image = libvirt ? guestImage({ cache: place.imageCache, recipe: place.recipe, ...(place.signal === undefined ? {} : { signal: place.signal }) }) : undefined
  const hypervisors = async (): Promise<void> => {
    await makeCable(place)
    await all(record.hosts.map((host) => raiseHost(place, host).then(() => tick(`${host.name}: hypervisor`))))
  }
  if (image !== undefined) await all<unknown>([hypervisors(), image])
  await startNode(place, founder, async () => undefined)
  tick(`${founder.name}: node`)
  const ticket = (): Promise<string> => withNode(place, founder, (dc) => dc.ticket())
  await all(others.map((host) => startNode(place, host, ticket).then(() => tick(`${host.name}: node`))))
  if (image !== undefined) await importGuest(place, founder, (await image).path)
  onProgress('done', total, total)
}

/** Everything of a libvirt host but its node. */
async function raiseHost(place: NodePlace & LabWorld, host: LabHost): Promise<void> {
  await makeHost(place, host)
  if (place.record.switch === 'ovs') await startOvs(place, host)
  else await plugBridge(place, host)
  await configureLibvirt(place, host)
  await bringCapabilities(place, host, place.imageCache)
  await startLibvirt(place, host)
  await keepCapabilities(place, host, place.imageCache)
  await definePools(place, host)
}

/** The pool "images" is one directory on all hosts: imported once, seen by all. */
async function importGuest(place: NodePlace, host: LabHost, path: string): Promise<void> {
  await withNode(place, host, async (dc) => {
    let pool: StoragePool | undefined
    // A node is ready before it has read its hypervisor's inventory.
    await until(place.clock, LIMITS.labDaemonStartTimeoutMs, async () => {
      pool = ((await dc.list('StoragePool')).objects as readonly StoragePool[]).find((one) => one.name === 'images')
      return pool !== undefined
    }, place.signal)
    if (pool === undefined) throw CLI.LAB_FAILED({ step: 'Importing the guest image', reason: `${host.name} shows no storage pool "images"` })
    await pool.importImage({ name: 'guest', path, description: 'Debian kernel and busybox: answers on its serial port' })
    const hosts = await dc.pms
    const seen = await all(hosts.map((pm) => seesGuest(place, pm)))
    if (!seen.every(Boolean)) throw CLI.LAB_FAILED({ step: 'Importing the guest image', reason: `not seen by ${hosts.filter((_, at) => seen[at] === false).map(({ name }) => name).join(', ')}` })
  })
}

/** Each host reads the shared directory for itself; one that has not yet would say that it has no such image. */
async function seesGuest({ clock, signal }: NodePlace, pm: PhysicalMachine): Promise<boolean> {
  let asked = false
  return until(clock, LIMITS.labDaemonStartTimeoutMs, async () => {
    if ((await pm.images).some(({ name }) => name === 'guest')) return true
    const pool = asked ? undefined : (await pm.storagePools).find(({ name }) => name === 'images')
    asked ||= pool !== undefined
    await pool?.refresh()
    return false
  }, signal)
}

/** Ends all of the lab, however much of it there is, and removes it. */
export async function labDown(world: Pick<LabWorld, 'directory' | 'clock'>, record: LabRecord): Promise<void> {
  const { directory, clock } = world
  const everything = async () => (await Promise.all([...record.hosts.map((host) => nodesAndStartersIn(host.data)), ...record.hosts.map((host) => processesOf({ record }, host.name)), processesOf({ record }, CABLE)])).flat()
  await endAll(everything, clock, 'at-once')
  for (const name of [...record.hosts.map((host) => host.name), CABLE, 'nfs', 'lab.json', 'lab.json.new']) await rm(join(directory, name), { recursive: true, force: true, maxRetries: 5 })
  // Only what the lab made is removed: a directory that holds something else stays.
  await rmdir(directory).catch(() => {})
}

export async function labStatus(world: Pick<LabWorld, 'directory'>, record: LabRecord): Promise<LabStatus> {
  const place = { record }
  const cabled = record.driver === 'libvirt' && await holderOf(place, CABLE) !== undefined
  const groups = cabled ? await groupsOf(place) : new Map<string, number>()
  const hosts = await Promise.all(record.hosts.map(async (host) => {
    const [node, processes] = await Promise.all([nodeOf(host), processesOfHost(place, host)])
    const state: HostState = processes.length === 0 ? 'off' : node.length === 0 ? 'node down' : 'up'
    return { ...host, state, processes: processes.length, group: groups.get(host.name) }
  }))
  return { name: record.name, directory: world.directory, driver: record.driver, switch: record.switch, hosts }
}

/** A power cut: every process of the host ends at once; disks stay, memory and /run do not. */
export const killHost = (world: LabWorld, record: LabRecord, host: LabHost): Promise<void> => endAll(() => processesOfHost({ record }, host), world.clock, 'at-once')

/** Power on again. */
export async function startHost(world: LabWorld, record: LabRecord, host: LabHost): Promise<void> {
  const place = { ...world, record }
  if (record.driver === 'libvirt') {
    await makeCable(place)
    if ((await processesOfHost(place, host)).length === 0 && await holderOf(place, host.name) !== undefined) {
      await runIn(place, host.name, ['sh', '-c', 'rm -rf /run/libvirt /run/openvswitch/*'], `Clearing /run of ${host.name}`)
    }
    await raiseHost(place, host)
  }
  await startLabNode(world, record, host)
}

export async function startLabNode(world: LabWorld, record: LabRecord, host: LabHost): Promise<void> {
  const place = { ...world, record }
  await startNode(place, host, async () => {
    for (const other of record.hosts) if (other.name !== host.name && (await nodeOf(other)).length > 0) return withNode(place, other, (dc) => dc.ticket())
    return undefined
  })
}

export const stopLabNode = (world: LabWorld, host: LabHost): Promise<void> => stopNode(host, world.clock)

export async function partitionLab(world: LabWorld, record: LabRecord, groups: readonly (readonly string[])[]): Promise<void> {
  refuseMemory(record, 'be parted')
  const named = groups.flat()
  const unknown = named.find((name) => !record.hosts.some((host) => host.name === name))
  if (unknown !== undefined) throw CLI.LAB_REFUSED({ what: `Lab ${record.name} cannot be parted`, reason: `it has no host ${unknown}`, advice: `Its hosts are ${record.hosts.map(({ name }) => name).join(', ')}.` })
  if (new Set(named).size !== named.length) throw CLI.LAB_REFUSED({ what: `Lab ${record.name} cannot be parted`, reason: 'a host is named twice', advice: 'A host is in one group.' })
  await part({ ...world, record }, groups)
}

export async function healLab(world: LabWorld, record: LabRecord): Promise<void> {
  refuseMemory(record, 'be healed')
  await part({ ...world, record }, [record.hosts.map(({ name }) => name)])
}

function refuseMemory(record: LabRecord, verb: string): void {
  if (record.driver === 'memory') throw CLI.LAB_REFUSED({ what: `Lab ${record.name} cannot ${verb}`, reason: 'the nodes of a memory lab share this machine\'s network', advice: 'Make a libvirt lab (as root: `kumoi lab up --driver libvirt`), or cut a node off with `kumoi lab kill HOST`.' })
}

export const folderOfHost = (world: Pick<LabWorld, 'directory'>, host: LabHost): string => folderOf(world.directory, host.name)
