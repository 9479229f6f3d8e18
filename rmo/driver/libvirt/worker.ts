// Thread entry: one call after another into libvirt, each answered with its result or with libvirt's error.
//
// A thread that cannot load the library says so to every call.

import { parentPort } from 'node:worker_threads'
import { toErrorRecord } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { CallMessage, Reply, WorkerMessage } from './messages.ts'
import { LibvirtFailure } from './operation.ts'
import type { Operations } from './operation.ts'
import type { Library } from './library.ts'

interface Loaded { readonly lib: Library; readonly operations: Operations }

async function load(): Promise<Loaded> {
  const { loadLibrary } = await import('./library.ts')
  const lib = loadLibrary()
  const { operations } = await import('./operations/index.ts')
  return { lib, operations }
}

function run({ lib, operations }: Loaded, { id, name, connection, args }: CallMessage): Reply {
  const operation = operations[name]
  if (operation === undefined) {
    return { id, type: 'error', error: toErrorRecord(new Error(`no libvirt operation ${name}`), RMO.DRIVER_FAILED.code) }
  }
  try {
    return { id, type: 'result', value: operation({ lib, connection: connection ?? 0n }, args as never) }
  } catch (error) {
    if (!(error instanceof LibvirtFailure)) return { id, type: 'error', error: toErrorRecord(error, RMO.DRIVER_FAILED.code) }
    const disconnected = connection !== null && lib.virConnectIsAlive(connection) !== 1
    return { id, type: 'failure', failure: disconnected ? { ...error.failure, disconnected } : error.failure }
  }
}

const post = (message: WorkerMessage): void => parentPort?.postMessage(message)
try {
  const loaded = await load()
  parentPort?.on('message', (message: CallMessage) => post(run(loaded, message)))
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error)
  parentPort?.on('message', ({ id }: CallMessage) => post({ id, type: 'no-library', reason }))
}
post({ type: 'loaded' })
