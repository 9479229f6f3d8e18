// One line at a time for node:repl, which forgets a text begun meanwhile when an earlier evaluation ends.
// A pipe is fed line by line; on a terminal the keys of a paste wait until the running line is done.

import { PassThrough } from 'node:stream'
import { createInterface } from 'node:readline'
import type { REPLServer } from 'node:repl'

/** Resolves when nothing runs and nothing waits. */
export type Idle = () => Promise<void>

/** A stream that gives the next line of `input` when the one before has been dealt with. */
export function lineByLine(input: NodeJS.ReadableStream, idle: Idle): NodeJS.ReadableStream {
  const fed = new PassThrough()
  const feed = async (): Promise<void> => {
    for await (const line of createInterface({ input, terminal: false, crlfDelay: Infinity })) {
      fed.write(`${line}\n`)
      // The REPL reads it in a later turn of the loop; then its work has begun.
      await new Promise(setImmediate)
      await idle()
    }
    fed.end()
  }
  feed().catch((error: unknown) => { fed.destroy(error instanceof Error ? error : new Error(String(error))) })
  return fed
}

interface Key { readonly name?: string; readonly ctrl?: boolean }
type KeyHandler = (text: string, key: Key) => void

/** Holds keys back while something runs; Ctrl-C always passes. */
export function holdKeys(server: REPLServer, busy: () => boolean, idle: Idle): void {
  // readline's key handler is a method by convention only; node:repl itself replaces it the same way.
  const hooks = server as unknown as { _ttyWrite: KeyHandler }
  const handle = hooks._ttyWrite.bind(server)
  const held: [string, Key][] = []
  let draining = false
  const drain = async (): Promise<void> => {
    draining = true
    for (let next = held.shift(); next !== undefined; next = held.shift()) {
      await idle()
      handle(...next)
    }
    draining = false
  }
  hooks._ttyWrite = (text, key) => {
    if (key?.ctrl === true && key.name === 'c') held.length = 0
    else if (busy() || draining) {
      held.push([text, key])
      if (!draining) void drain()
      return
    }
    handle(text, key)
  }
}
