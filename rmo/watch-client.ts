// The watcher's end of a watch: an async iterable over the rmo.watch stream, opened when first read.

import { LIMITS } from '../fabric/base.ts'
import type { ClientStream } from '../fabric/mod.ts'
import type { ReferenceRecord } from '../functions/mod.ts'
import { RMO } from './errors.ts'
import { METHODS, readEvent } from './messages.ts'
import type { ObjectEvent, Watch } from './object.ts'
import type { Session } from './session.ts'

/** `ended` is told once, whoever ends it. */
export function createWatch(session: Session, record: () => Promise<ReferenceRecord>, options: unknown, ended: () => void): Watch<ObjectEvent> {
  let opening: Promise<ClientStream> | undefined
  let over = false

  const open = async (): Promise<ClientStream> => {
    const { kind, uuid, home, name, cold } = await record()
    if (cold === true) throw RMO.COLD({ kind, name, verb: 'watch' })
    const stream = session.peer.open(METHODS.watch, { kind, uuid, home, options: options ?? {} }, { ...session.callOptions(), timeoutMs: LIMITS.callTimeoutMsMax })
    // Its failure also ends the reads, where it is seen.
    stream.result.catch(() => {})
    return stream
  }
  const finish = (): void => {
    if (over) return
    over = true
    ended()
    opening?.then((stream) => stream.cancel(), () => {})
  }
  const done = { done: true, value: undefined } as const
  return {
    async next() {
      if (over) return done
      try {
        opening ??= open()
        const body = await (await opening).read()
        if (body !== undefined && !over) return { done: false, value: readEvent(body) }
        finish()
        return done
      } catch (error) {
        // unwatch() while an event is awaited ends the loop; it is no failure.
        if (over) return done
        finish()
        throw error
      }
    },
    async return() { finish(); return done },
    unwatch: finish,
    [Symbol.asyncIterator]() { return this },
    async [Symbol.asyncDispose]() { finish() },
  }
}
