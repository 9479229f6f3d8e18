// Thread entry: one call after another into libvirt, each answered with its result or with libvirt's error.
//
// Loads the library at its first call, so that a thread on a machine without libvirt can say so.

import { parentPort } from 'node:worker_threads'
import { toErrorRecord } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { CallMessage, Reply } from './messages.ts'
import { LibvirtFailure } from './operation.ts'
import type { Operations } from './operation.ts'
import type { Library } from './library.ts'

interface Loaded { readonly lib: Library; readonly operations: Operations }
let loaded: Loaded | undefined
let loading: Promise<Loaded> | undefined

async function load(): Promise<Loaded> {
  const { loadLibrary } = await import('./library.ts')
  const lib = loadLibrary()
  const { operations } = await import('./operations/index.ts')
  loaded = { lib, operations }
  return loaded
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

parentPort?.on('message', (message: CallMessage) => {
  const answer = (reply: Reply): void => parentPort?.postMessage(reply)
  if (loaded !== undefined) {
    answer(run(loaded, message))
    return
  }
  loading ??= load()
  loading.then(
    (ready) => answer(run(ready, message)),
    (error: unknown) => answer({ id: message.id, type: 'no-library', reason: error instanceof Error ? error.message : String(error) }),
  )
})
