// Completion in the REPL: names of the session, what the user declared, properties of what stands before
// the dot (asked of V8 without side effects), and inside `pms.dmap(pm => pm.` the members of a machine.

import type { Evaluator } from './evaluate.ts'

/** What a collection offers; its objects are proxies that must not be asked. */
export const COLLECTION_WORDS = [
  'dmap', 'dfilter', 'dflatMap', 'dforEach', 'dreduce', 'dfold', 'dcount', 'dsome', 'devery', 'dfind', 'dgroupBy', 'dsum', 'dmin', 'dmax',
  'map', 'filter', 'flat', 'flatMap', 'reduce', 'sort', 'slice', 'find', 'groupBy', 'length', 'at', 'first', 'settled', 'with',
] as const

const CENTER_WORDS = ['pms', 'from', 'range', 'explain', 'node', 'nodes', 'ticket', 'watchMembers', 'down', 'close'] as const

const KEYWORDS = ['await', 'const', 'let', 'async', 'function', 'return', 'typeof', 'new'] as const
const TAIL = /([A-Za-z_$][\w$]*(?:\([^()]*\))?(?:\.[A-Za-z_$][\w$]*(?:\([^()]*\))?)*\.)?([A-Za-z_$][\w$]*)?$/
const D_CALL_PARAMETER = /\.d[a-zA-Z]+\(\s*(?:async\s*)?(?:\(\s*([\w$]+)[^)]*\)|([\w$]+))\s*=>/g
const PLAIN_PATH = /^[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*$/

/** The machine names of the innermost shipped arrow in `line`. */
const parameters = (line: string): readonly string[] => [...line.matchAll(D_CALL_PARAMETER)].flatMap((m) => m[1] ?? m[2] ?? [])

export interface CompletionSource extends Pick<Evaluator, 'names' | 'properties'> {
  /** What can follow `pm.`. */
  machineWords(): Promise<readonly string[]>
}

async function candidates(base: string, line: string, source: CompletionSource): Promise<readonly string[]> {
  if (base === '') return [...KEYWORDS, ...await source.names(), ...Object.getOwnPropertyNames(globalThis)]
  if (parameters(line).includes(base) || /^pms\.(?:at|first)\([^()]*\)$/.test(base)) return source.machineWords()
  if (base === 'dc') return CENTER_WORDS
  if (/^(?:dc\.)?(?:pms|from\(.*\)|range\(.*\))(?:\.[\w$]+(?:\(.*\))?)*$/.test(base)) return COLLECTION_WORDS
  return PLAIN_PATH.test(base) ? source.properties(base) : []
}

/** node:repl's shape: the completions, and the part of the line that they replace. */
export async function complete(line: string, source: CompletionSource): Promise<[string[], string]> {
  const match = TAIL.exec(line)
  const base = (match?.[1] ?? '').replace(/\.$/, '')
  const started = match?.[2] ?? ''
  if (base === '' && started === '') return [[], line]
  const words = new Set((await candidates(base, line, source)).filter((word) => word.startsWith(started) && /^[A-Za-z_$][\w$]*$/.test(word)))
  const prefix = base === '' ? '' : `${base}.`
  return [[...words].sort().map((word) => prefix + word), prefix + started]
}
