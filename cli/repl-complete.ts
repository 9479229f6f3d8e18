// Completion in the REPL: names of the session, what the user declared, properties of what stands before
// the dot (asked of V8 without side effects), deployed functions in `fn('`, and inside `vms.dmap(vm => vm.` the members of the kind.

import type { Evaluator } from './evaluate.ts'

/** What a collection offers; its objects are proxies that must not be asked. */
export const COLLECTION_WORDS = [
  'dmap', 'dfilter', 'dflatMap', 'dforEach', 'dreduce', 'dfold', 'dcount', 'dsome', 'devery', 'dfind', 'dgroupBy', 'dsum', 'dmin', 'dmax',
  'map', 'filter', 'flat', 'flatMap', 'reduce', 'sort', 'slice', 'find', 'groupBy', 'length', 'at', 'first', 'settled', 'with',
] as const

const CENTER_WORDS = ['from', 'range', 'load', 'fn', 'functions', 'store', 'list', 'settled', 'explain', 'node', 'nodes', 'ticket', 'watchMembers', 'down', 'close'] as const

const KEYWORDS = ['await', 'const', 'let', 'async', 'function', 'return', 'typeof', 'new'] as const
const TAIL = /([A-Za-z_$][\w$]*(?:\([^()]*\))?(?:\.[A-Za-z_$][\w$]*(?:\([^()]*\))?)*\.)?([A-Za-z_$][\w$]*)?$/
const PLAIN_OR_D_CALL = /([\w$]+)(?:\.with\([^()]*\))?\.(?:d[a-zA-Z]+|map|filter|flatMap|find)\(\s*(?:async\s*)?(?:\(\s*([\w$]+)[^)]*\)|([\w$]+))\s*=>/g
/** `fn('hot-`: the name of a deployed function, half written. */
const FN_NAME = /\b(?:fn|functions\.(?:get|invoke|call|enqueue|pause|resume|rollback|stats))\(['"`]([a-z0-9-]*)$/
const STEP = /^([\w$]+)(\(.*\))?$/
const ONE_OF_MANY: ReadonlySet<string> = new Set(['at', 'first'])
const STILL_MANY: ReadonlySet<string> = new Set(['filter', 'dfilter', 'slice', 'sort', 'with'])
const PLAIN_PATH = /^[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*$/

export interface CompletionSource extends Pick<Evaluator, 'names' | 'properties' | 'kindOf'> {
  /** Kind by the plural under which its objects are found: vms -> VM. */
  collections(): Promise<ReadonlyMap<string, string>>
  /** What can follow an object of a kind and a dot. */
  words(kind: string): Promise<readonly string[]>
  /** Where a property of an object of a kind leads: pm.vmm to one VMM, pm.vms to VMs; undefined for a plain value. */
  relation(kind: string, property: string): Promise<Relation | undefined>
  /** Names of deployed functions. */
  functions(): Promise<readonly string[]>
}
export interface Relation { readonly kind: string; readonly many: boolean }

/** Parameters of arrows over collections of a kind: `pms.dmap(pm => pm.vms.filter(vm => `: pm, vm. */
function parameters(line: string, kinds: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const [, collection = '', bracketed, bare] of line.matchAll(PLAIN_OR_D_CALL)) {
    const kind = kinds.get(collection)
    const name = bracketed ?? bare
    if (kind !== undefined && name !== undefined) found.set(name, kind)
  }
  return found
}

/**
 * What a path of properties stands for: `pms.at(0).vmm`, a parameter `pm.vms`, a variable that holds a reference. Known
 * by the kinds alone: no object is asked.
 */
async function follow(base: string, declared: ReadonlyMap<string, string>, kinds: ReadonlyMap<string, string>, source: CompletionSource): Promise<Relation | undefined> {
  const [first = '', ...rest] = base.replace(/^dc\./, '').split('.')
  const plural = kinds.get(first)
  const kind = declared.get(first) ?? (plural === undefined && PLAIN_PATH.test(first) ? await source.kindOf(first) : undefined)
  let at: Relation | undefined = kind !== undefined ? { kind, many: false } : plural !== undefined ? { kind: plural, many: true } : undefined
  for (const step of rest) {
    if (at === undefined) return undefined
    const [, property = '', called] = STEP.exec(step) ?? []
    if (!at.many) at = called === undefined ? await source.relation(at.kind, property) : undefined
    else if (called !== undefined && ONE_OF_MANY.has(property)) at = { kind: at.kind, many: false }
    else if (called === undefined || !STILL_MANY.has(property)) at = undefined
  }
  return at
}

async function candidates(base: string, line: string, source: CompletionSource): Promise<readonly string[]> {
  if (base === '') return [...KEYWORDS, ...await source.names(), ...Object.getOwnPropertyNames(globalThis)]
  const kinds = await source.collections()
  const found = await follow(base, parameters(line, kinds), kinds, source)
  if (found !== undefined) return found.many ? COLLECTION_WORDS : source.words(found.kind)
  if (base === 'dc') return [...kinds.keys(), ...CENTER_WORDS]
  const [first = ''] = base.replace(/^dc\./, '').split(/[.(]/)
  if (kinds.has(first) || /^(?:dc\.)?(?:from\(.*\)|range\(.*\))/.test(base)) return COLLECTION_WORDS
  return PLAIN_PATH.test(base) ? source.properties(base) : []
}

/** node:repl's shape: the completions, and the part of the line that they replace. */
export async function complete(line: string, source: CompletionSource): Promise<[string[], string]> {
  const named = FN_NAME.exec(line)?.[1]
  if (named !== undefined) return [(await source.functions()).filter((name) => name.startsWith(named)).sort(), named]
  const match = TAIL.exec(line)
  const base = (match?.[1] ?? '').replace(/\.$/, '')
  const started = match?.[2] ?? ''
  if (base === '' && started === '') return [[], line]
  const words = new Set((await candidates(base, line, source)).filter((word) => word.startsWith(started) && /^[A-Za-z_$][\w$]*$/.test(word)))
  const prefix = base === '' ? '' : `${base}.`
  return [[...words].sort().map((word) => prefix + word), prefix + started]
}
