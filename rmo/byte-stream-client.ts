// The user's end of an object's byte stream: `const console = await vm.console()`.

import { LIMITS } from '../fabric/base.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import type { ByteChannel } from './byte-streams.ts'
import { RMO } from './errors.ts'
import { METHODS } from './messages.ts'
import type { Session } from './session.ts'

/** Opens a byte stream of an object; rejects with the home's coded error when it refuses. */
export async function openByteStream(session: Session, { kind, uuid, home, name, cold }: ReferenceRecord, stream: string): Promise<ByteChannel> {
  if (cold === true) throw RMO.COLD({ kind, name, verb: stream })
  const opened = session.peer.open(METHODS.stream, { kind, uuid, home, stream }, { ...session.callOptions(), timeoutMs: LIMITS.callTimeoutMsMax })
  opened.result.catch(() => {})
  // The first message says that it is open; without one the result says why.
  if (await opened.read() === undefined) await opened.result
  const data = new Set<(bytes: Uint8Array) => void>()
  const ends = new Set<(reason: string) => void>()
  // What arrives before anybody listens waits for the first listener.
  let early: Uint8Array[] | undefined = []
  let reason: string | undefined
  const end = (why: string): void => {
    if (reason !== undefined) return
    reason = why
    for (const listener of ends) listener(why)
  }
  const read = async (): Promise<string> => {
    for await (const bytes of opened) {
      if (!(bytes instanceof Uint8Array)) continue
      if (early === undefined) for (const listener of data) listener(bytes)
      else early.push(bytes)
    }
    return String(await opened.result)
  }
  read().then(end, (error: unknown) => end(error instanceof Error ? error.message : String(error)))
  return {
    write: async (bytes) => { await opened.write(bytes) },
    onData(listener) {
      data.add(listener)
      for (const bytes of early ?? []) listener(bytes)
      early = undefined
    },
    onClose(listener) {
      ends.add(listener)
      if (reason !== undefined) listener(reason)
    },
    close() {
      end('closed here')
      opened.cancel()
    },
  }
}
