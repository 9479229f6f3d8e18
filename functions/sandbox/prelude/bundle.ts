// A deployed bundle in this isolate (functions/bundle/sites.ts has its form): evaluated once, whichever of its functions the
// plan names. Gives the program its side of `import ... from 'kumoi'`, and the entry that invocations go through.
//
//   evaluate($kumoi) -> { definition, sites }      $kumoi.ship(site, fn, () => ({ captured })) marks what may be shipped on
//   entry(invocation) -> describe: the definition as plain data | filter: whether it is to run | run: what it answers

import { SHIPPED } from '../../contract.ts'
import type { Invocation, TriggerDefinition } from '../../deployed.ts'
import type { AnyFunction, Evaluate, Evaluated } from '../../value/link.ts'
import { contextOf } from './context.ts'
import { SandboxError } from './error-capture.ts'
import { names } from './names.ts'
import { ArrayIsArray, mapGet, mapSet, ObjectDefineProperty, ObjectFreeze, ObjectKeys, StringConstructor } from './primordials.ts'

/** What a function that may be shipped carries under SHIPPED; shipping.ts reads it. */
export interface Shipped {
  /** SHA-256 of the bundle; every node that runs this function has it. */
  readonly program: string
  readonly site: number
  /** Captured values by name, as of now, in the order of the template's. */
  values(): Readonly<Record<string, unknown>>
}

interface Definition { readonly trigger?: TriggerDefinition | readonly TriggerDefinition[]; readonly run: (context: unknown, payload: unknown) => unknown }
interface Bundle extends Evaluated { readonly entry: AnyFunction }

const evaluated = new Map<string, Bundle>()

/** Throws what the module threw (code FUNCTIONS_ERR_THROWN, its own stack), or DEFINITION_INVALID. */
export function evaluateBundle(hash: string, evaluate: Evaluate): Bundle {
  const known = mapGet(evaluated, hash)
  if (known !== undefined) return known
  const defined: unknown[] = []
  const kumoi = ObjectFreeze({
    ...names,
    defineFunction(definition: unknown): unknown {
      defined[defined.length] = definition
      return definition
    },
    ship: (site: number, fn: AnyFunction, values: Shipped['values'], name?: string): AnyFunction => mark(hash, site, fn, values, name),
  })
  const { definition, sites } = guarded(() => evaluate(kumoi))
  if (defined.length !== 1 || defined[0] !== definition) throw notOne(definition, defined)
  const made: Bundle = { definition, sites, entry: (invocation) => enter(definition as Definition, invocation as Invocation) }
  mapSet(evaluated, hash, made)
  return made
}

function mark(program: string, site: number, fn: AnyFunction, values: Shipped['values'], name: string | undefined): AnyFunction {
  ObjectDefineProperty(fn, SHIPPED, { value: ObjectFreeze({ program, site, values }), configurable: true })
  // The mark stands between a function and the variable that would have named it.
  if (name !== undefined && fn.name === '') ObjectDefineProperty(fn, 'name', { value: name, configurable: true })
  return fn
}

/** A throw while the module is evaluated is the user's, with the stack of its place. */
function guarded(evaluate: () => Evaluated): Evaluated {
  try {
    return evaluate()
  } catch (thrown) {
    const error = new SandboxError('FUNCTIONS_ERR_THROWN', `the file threw while it was loaded: ${thrown instanceof Error ? thrown.message : StringConstructor(thrown)}`)
    if (thrown instanceof Error) {
      ObjectDefineProperty(error, 'cause', { value: thrown, configurable: true })
      ObjectDefineProperty(error, 'stack', { value: thrown.stack, configurable: true })
    }
    throw error
  }
}

function notOne(definition: unknown, defined: readonly unknown[]): SandboxError {
  const name = (defined[0] as { readonly name?: unknown } | undefined)?.name
  const got = defined.length === 0 ? 'something else' : defined.length > 1 ? `${defined.length} calls of defineFunction` : `a ${typeof definition} beside defineFunction({ ... })`
  return new SandboxError('FUNCTIONS_ERR_DEFINITION_INVALID', `function ${typeof name === 'string' ? name : '(no name)'}: the default export must be one defineFunction({ ... }), got ${got}`)
}

function enter(definition: Definition, invocation: Invocation): unknown {
  if (invocation.what === 'describe') return plain(definition, 0)
  if (invocation.what === 'run') return definition.run(contextOf(invocation), invocation.payload)
  const { trigger } = definition
  const one = (ArrayIsArray(trigger) ? trigger[invocation.trigger ?? 0] : trigger) as { readonly filter?: (event: unknown) => unknown } | undefined
  return one?.filter === undefined ? true : one.filter(invocation.payload)
}

/** Depth that a definition cannot reach: a cycle ends there, and the manifest refuses it. */
const DEPTH_MAX = 8

/** Functions become { function: name }; everything else stays as it is, for the manifest's checks (functions/bundle/manifest.ts). */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === 'function') return { function: StringConstructor(value.name) }
  if (typeof value !== 'object' || value === null || depth > DEPTH_MAX) return typeof value === 'symbol' ? 'a symbol' : value
  if (ArrayIsArray(value)) {
    const items: unknown[] = []
    for (let i = 0; i < value.length; i++) items[i] = plain(value[i], depth + 1)
    return items
  }
  const fields: Record<string, unknown> = {}
  const keys = ObjectKeys(value)
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as string
    ObjectDefineProperty(fields, key, { value: plain((value as Record<string, unknown>)[key], depth + 1), enumerable: true, configurable: true, writable: true })
  }
  return fields
}
