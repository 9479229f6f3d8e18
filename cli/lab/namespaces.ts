// Namespaces of a lab: one per host (network, mount, UTS), and one that is the cable between them.
//
//   cable:  klab0 = host1, host2, host3              (another bridge for each further group of a partition)
//   host1:  eth0 (veth to the cable) = xenbr, 10.77.0.1/24
//
// A holder process (holder.sh) keeps each alive, so nothing stands in the machine's own namespaces; with the last
// process everything of a namespace is gone, mounts and devices too. A partition moves the cable's ends to
// bridges of their own: nothing is reset, frames are just not carried any more.

import { spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { LIMITS } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import { CLI } from '../errors.ts'
import type { LabHost, LabRecord } from './contract.ts'
import { isHolder, markOf, processesMarked } from './processes.ts'
import type { LabProcess } from './processes.ts'
import { run } from './run.ts'

/** Stands for the cable where a host's name stands. */
export const CABLE = 'cable'
/** The bridge of each host, by the paper's name. */
export const BRIDGE = 'xenbr'
const PREFIX_BITS = 24

/** Folders of the host in the lab, and the places of the machine that they cover inside it. */
const COVERED = [['etc', '/etc/libvirt'], ['lib', '/var/lib/libvirt'], ['log', '/var/log/libvirt'], ['cache', '/var/cache/libvirt'], ['ovs', '/etc/openvswitch']] as const

export const folderOf = (directory: string, name: string): string => join(directory, name)
export const addressOf = (index: number): string => `10.77.0.${index}`

export interface Place { readonly directory: string; readonly record: LabRecord; readonly holderScript: string; readonly clock: Clock; readonly signal?: AbortSignal }

export const markFor = ({ record }: Pick<Place, 'record'>, name: string): string => markOf(record.id, name)
export const processesOf = (place: Pick<Place, 'record'>, name: string): Promise<LabProcess[]> => processesMarked(markFor(place, name))
export const holderOf = async (place: Pick<Place, 'record'>, name: string): Promise<LabProcess | undefined> => (await processesOf(place, name)).find(isHolder)

/** Starts the holder of a host or the cable, unless there is one; resolves when its mounts are laid out. */
async function hold(place: Place, name: string): Promise<void> {
  if (await holderOf(place, name) !== undefined) return
  const folder = folderOf(place.directory, name)
  const host = name !== CABLE
  await mkdir(join(folder, 'root'), { recursive: true })
  if (host) {
    for (const [own] of COVERED) await mkdir(join(folder, own), { recursive: true })
    await writeFile(join(folder, 'covered'), COVERED.map((pair) => `${pair.join(' ')}\n`).join(''))
    await writeFile(join(folder, 'hosts'), ['127.0.0.1 localhost', ...place.record.hosts.map((one) => `${one.address} ${one.name}`)].map((line) => `${line}\n`).join(''))
  }
  const kinds = host ? ['--mount', '--net', '--uts'] : ['--mount', '--net']
  const child = spawn('unshare', [...kinds, 'sh', place.holderScript, markFor(place, name), folder, ...(host ? [name] : [])], { cwd: '/', detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let said = ''
  const step = `Making the namespaces of ${name}`
  const fail = (reason: string): void => reject(CLI.LAB_FAILED({ step, reason }))
  const timer = place.clock.after(LIMITS.labToolTimeoutMs, () => fail('the holder is not ready'))
  child.stderr.setEncoding('utf8').on('data', (text: string) => { said = (said + text).slice(-2_000) })
  child.once('error', (error) => fail(error.message))
  child.once('close', (status) => fail(`status ${status}: ${said.trim()}`))
  createInterface({ input: child.stdout }).once('line', (line) => { if (line === 'ready') resolve(); else fail(line) })
  try {
    await promise
  } finally {
    timer.cancel()
    child.stdout.destroy()
    child.stderr.destroy()
    child.unref()
  }
}

async function holderPid(place: Pick<Place, 'record'>, name: string): Promise<number> {
  const holder = await holderOf(place, name)
  if (holder === undefined) throw CLI.LAB_REFUSED({ what: `${name} is gone`, reason: 'nothing holds its namespaces any more', advice: 'Make the lab again: `kumoi lab down`, then `kumoi lab up`.' })
  return holder.pid
}

/** Words before a command line that put it into the host. */
export async function enter(place: Pick<Place, 'record'>, name: string): Promise<readonly string[]> {
  const pid = await holderPid(place, name)
  return ['nsenter', '--target', String(pid), '--mount', '--net', ...(name === CABLE ? [] : ['--uts']), '--']
}

/** Runs a tool of the machine inside a host, or at the cable. */
export async function runIn(place: Pick<Place, 'record' | 'signal'>, name: string, command: readonly string[], step: string): Promise<string> {
  const [file = '', ...args] = [...await enter(place, name), ...command]
  return run(file, args, { step, ...(place.signal === undefined ? {} : { signal: place.signal }) })
}

/** `ip -batch`: one process for many lines. */
async function ip(place: Place, name: string, ...lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return
  const [file = '', ...args] = [...await enter(place, name), 'ip', '-batch', '-']
  await run(file, args, { step: `Setting up the network of ${name}`, input: lines.map((line) => `${line}\n`).join(''), ...(place.signal === undefined ? {} : { signal: place.signal }) })
}

export async function makeCable(place: Place): Promise<void> {
  await hold(place, CABLE)
  const there = await linksOf(place, CABLE)
  await ip(place, CABLE, 'link set lo up', ...there.has(cableBridge(0)) ? [] : bridgeLines(0))
}

/** Namespaces of a host, with eth0 plugged into the cable; what is there is left as it is. */
export async function makeHost(place: Place, host: LabHost): Promise<void> {
  await hold(place, host.name)
  if ((await linksOf(place, CABLE)).has(host.name)) return
  const pid = await holderPid(place, host.name)
  await ip(place, CABLE, `link add ${host.name} type veth peer name eth0 netns ${pid}`, `link set ${host.name} master ${cableBridge(0)} up`)
  await ip(place, host.name, 'link set lo up', 'link set eth0 up')
}

/** A Linux bridge with eth0 as its uplink and the host's address on it. */
export async function plugBridge(place: Place, host: LabHost): Promise<void> {
  const there = await linksOf(place, host.name)
  await ip(place, host.name, ...there.has(BRIDGE) ? [] : [`link add ${BRIDGE} type bridge forward_delay 0 stp_state 0`], ...there.get('eth0') === BRIDGE ? [] : [`link set eth0 master ${BRIDGE}`])
  await setAddress(place, host)
}

export const setAddress = (place: Place, host: LabHost): Promise<void> =>
  ip(place, host.name, `link set ${BRIDGE} up`, `address replace ${host.address}/${PREFIX_BITS} dev ${BRIDGE}`)

const cableBridge = (group: number): string => `klab${group}`
const bridgeLines = (group: number): string[] => [`link add ${cableBridge(group)} type bridge forward_delay 0 stp_state 0`, `link set ${cableBridge(group)} up`]

interface LinkRow { readonly ifname: string; readonly master?: string }

/** Devices of a namespace, with the bridge that each is a port of ('' for none). */
async function linksOf(place: Pick<Place, 'record'>, name: string): Promise<ReadonlyMap<string, string>> {
  const rows = JSON.parse(await runIn(place, name, ['ip', '-json', 'link', 'show'], `Reading the network of ${name}`)) as LinkRow[]
  return new Map(rows.map(({ ifname, master = '' }) => [ifname, master]))
}

/** Group of each host on the cable; all 0 when nothing is parted. */
export async function groupsOf(place: Pick<Place, 'record'>): Promise<ReadonlyMap<string, number>> {
  const links = [...await linksOf(place, CABLE)]
  return new Map(links.flatMap(([name, bridge]) => (bridge.startsWith('klab') ? [[name, Number(bridge.slice('klab'.length))] as const] : [])))
}

/** Gives each group a bridge of its own; hosts in no group stay together on the first bridge that no group has. */
export async function part(place: Place, groups: readonly (readonly string[])[]): Promise<void> {
  const there = await linksOf(place, CABLE)
  const rest = place.record.hosts.map(({ name }) => name).filter((name) => !groups.some((group) => group.includes(name)))
  const all = rest.length === 0 ? groups : [...groups, rest]
  const bridges = all.flatMap((_, group) => (there.has(cableBridge(group)) ? [] : bridgeLines(group)))
  await ip(place, CABLE, ...bridges, ...all.flatMap((group, at) => group.map((name) => `link set ${name} master ${cableBridge(at)}`)))
}
