// Places in a bundle's script told as places in the files that the user wrote: for errors of calls, and for logs. The sandbox
// calls a frame "kumoi:<name>@<first 8 of the version>:line:column" (sandbox/prelude/plan.ts); the map is the version's own.

import { SourceMap } from 'node:module'
import { LIMITS } from '../../fabric/base.ts'
import type { ErrorRecord } from '../../fabric/base.ts'

const FRAME = /kumoi:[\w$.-]*@([0-9a-f]{8}):(\d+):(\d+)/g

/** By their text; errors come in bursts of one function, and parsing a map costs milliseconds. */
const parsed = new Map<string, SourceMap | undefined>()

function parse(text: string): SourceMap | undefined {
  if (parsed.has(text)) return parsed.get(text)
  if (parsed.size >= LIMITS.sourceMapsParsedMax) parsed.delete(parsed.keys().next().value ?? '')
  let map: SourceMap | undefined
  try {
    map = new SourceMap(JSON.parse(text) as ConstructorParameters<typeof SourceMap>[0])
  } catch {
    // A map that cannot be read tells nothing; the frames stay as they are.
  }
  parsed.set(text, map)
  return map
}

/**
 * `stack` with the frames of that version as "hot.ts:12:7"; all others as they are. `version`: its hash, or at least the first 8
 * of it; left out: all frames are that version's.
 */
export function originalStack(stack: string, sourceMap: string, version?: string): string {
  if (!stack.includes('kumoi:')) return stack
  const map = parse(sourceMap)
  if (map === undefined) return stack
  return stack.replace(FRAME, (frame, prefix: string, line: string, column: string) => {
    if (version?.startsWith(prefix) === false) return frame
    const entry = map.findEntry(Number(line) - 1, Number(column) - 1)
    return 'originalSource' in entry ? `${entry.originalSource}:${entry.originalLine + 1}:${entry.originalColumn + 1}` : frame
  })
}

/** An error record with the stacks of itself and its causes told so. */
export function originalError(error: ErrorRecord, sourceMap: string, version?: string): ErrorRecord {
  return {
    ...error,
    ...(error.stack === undefined ? {} : { stack: originalStack(error.stack, sourceMap, version) }),
    ...(error.cause === undefined ? {} : { cause: originalError(error.cause, sourceMap, version) }),
  }
}

/** What a script threw while it was evaluated, told with places in the user's files. */
export function atOriginal(error: unknown, sourceMap: string): unknown {
  if (!(error instanceof Error)) return error
  if (error.stack !== undefined) error.stack = originalStack(error.stack, sourceMap)
  atOriginal(error.cause, sourceMap)
  return error
}
