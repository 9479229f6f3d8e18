// Checks of one call against its kind: is there such a verb, do the arguments fit. At the caller for a good
// stack, at the home because a caller is never believed.

import { nearest } from '../fabric/base.ts'
import { RMO } from './errors.ts'
import type { Kind } from './kind.ts'
import type { Verb } from './verb.ts'

/** Arguments as the verb takes them; throws RMO_ERR_ARGUMENT_INVALID with the property path. */
export function checkArguments(kind: string, name: string, { parameters }: Pick<Verb, 'parameters'>, args: readonly unknown[]): unknown[] {
  const call = `${kind}.${name}`
  if (args.length > parameters.length) {
    throw RMO.ARGUMENT_INVALID({ call, path: 'the argument list', expected: `at most ${parameters.length} long (${parameters.map((p) => p.name).join(', ')})`, got: `${args.length} arguments` })
  }
  return parameters.map((parameter, i) => parameter.type.check(args[i], { call, path: parameter.name }))
}

/** Arguments that were checked, as they are sent: see Type.travel. */
export const sentArguments = (kind: string, name: string, { parameters }: Pick<Verb, 'parameters'>, args: readonly unknown[]): readonly unknown[] =>
  args.map((arg, i) => {
    const parameter = parameters[i]
    return parameter?.type.travel === undefined ? arg : parameter.type.travel(arg, { call: `${kind}.${name}`, path: parameter.name })
  })

/** The verb or relation of that name; throws RMO_ERR_VERB_UNKNOWN. */
export function operationOf(kind: Kind, name: string): Verb {
  const operation = kind.operations.get(name)
  if (operation !== undefined) return operation
  const verbs = [...kind.operations.keys()]
  throw RMO.VERB_UNKNOWN({ kind: kind.kind, verb: name, verbs, near: nearest(name, verbs) })
}
