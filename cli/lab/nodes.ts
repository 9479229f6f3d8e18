// The Kumoi nodes of a lab: started through the real launcher, detached, inside their host; the first founds the fabric,
// the others join it by a ticket of one that runs.

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join as pathOf } from 'node:path'

import { LIMITS, toErrorRecord } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { DataCenter } from '../../kali/contract.ts'
import { CLI } from '../errors.ts'
import type { Kali } from '../world.ts'
import type { LabHost } from './contract.ts'
import { LIBVIRT_URI, migrationUri } from './libvirt.ts'
import { enter, processesOf } from './namespaces.ts'
import type { Place } from './namespaces.ts'
import { endAll, isHolder, nodesIn } from './processes.ts'
import type { LabProcess } from './processes.ts'
import { run } from './run.ts'

export interface NodePlace extends Place {
  readonly launcher: string
  readonly env: Readonly<Record<string, string | undefined>>
  kali(): Promise<Kali>
}

/** The node's process, if it runs. A libvirt host has a directory and a mark; a memory host only the directory. */
export const nodeOf = (host: LabHost): Promise<LabProcess[]> => nodesIn(host.data)

/** Starts the node of a host unless it runs. `ticket` is asked only where a fabric is joined for the first time. */
export async function startNode(place: NodePlace, host: LabHost, ticket: () => Promise<string | undefined>): Promise<void> {
  if ((await nodeOf(host)).length > 0) return
  const { driver } = place.record
  const join = existsSync(pathOf(host.data, 'fabric.json')) ? undefined : await ticket()
  const command = [process.execPath, ...process.execArgv, place.launcher, 'up', '--detach', '--no-color', '--data', host.data, '--name', host.name, '--driver', driver,
    '--listen', driver === 'memory' ? '127.0.0.1' : host.address,
    ...(driver === 'libvirt' ? ['--libvirt-uri', LIBVIRT_URI, '--migration-uri', migrationUri(host)] : []),
    ...(join === undefined ? [] : ['--join', '-'])]
  const [file = '', ...args] = driver === 'libvirt' ? [...await enter(place, host.name), ...command] : command
  const { KUMOI_DATA: _data, KUMOI_DRIVER: _driver, KUMOI_LIFELINE_FD: _lifeline, KUMOI_READY_FD: _ready, ...env } = place.env
  const step = `Starting the node of ${host.name}`
  try {
    await run(file, args, {
      step, env: { ...env, NO_COLOR: '1' }, timeoutMs: LIMITS.nodeStartTimeoutMs + LIMITS.labStopGraceMs,
      ...(join === undefined ? {} : { input: join }), ...(place.signal === undefined ? {} : { signal: place.signal }),
    })
  } catch (error) {
    // A lab that does not come up is removed, and the log with it.
    const log = await readFile(pathOf(host.data, 'node.log'), 'utf8').catch(() => '')
    throw CLI.LAB_FAILED({ step, reason: `${toErrorRecord(error, CLI.LAB_FAILED.code).details?.['reason'] ?? String(error)}\n${log.trim().split('\n').slice(-LOG_LINES_TOLD).join('\n')}` }, { cause: error })
  }
}

const LOG_LINES_TOLD = 12

/** Leaves the fabric cleanly; guests go on. */
export const stopNode = (host: LabHost, clock: Clock): Promise<void> => endAll(() => nodeOf(host), clock, 'ask-first')

/** A connection to a host's node, closed when `work` is done. */
export async function withNode<T>(place: Pick<NodePlace, 'kali'>, host: LabHost, work: (dc: DataCenter) => Promise<T>): Promise<T> {
  const dc = await (await place.kali()).connect({ data: host.data, onConsole: () => {} })
  try {
    return await work(dc)
  } finally {
    await dc.close()
  }
}

/** All processes of a host but the one that holds its namespaces. */
export async function processesOfHost(place: Pick<Place, 'record'>, host: LabHost): Promise<LabProcess[]> {
  if (place.record.driver === 'memory') return nodeOf(host)
  return (await processesOf(place, host.name)).filter((one) => !isHolder(one))
}
