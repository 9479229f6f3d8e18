// Access rules as commands ask for them: the object that a path names ("global", "pools/pool1", "vms/web1"), and the words of a grant.

import type { AclQuestion, DataCenter } from '../kali/contract.ts'
import { patternProblem, rulePrincipalProblem } from '../rmo/base.ts'
import type { AclRule } from '../rmo/mod.ts'
import { CLI } from './errors.ts'
import { findObjects } from './objects.ts'
import type { Named } from './objects.ts'
import type { Output } from './output.ts'
import { referenceOf } from './render/shapes.ts'
import { nearest } from './suggest.ts'

/** What has rules. */
export interface Ruled extends Named { acls(rules?: readonly AclRule[], options?: { readonly was?: readonly AclRule[] }): Promise<readonly AclRule[]> }
export interface FoundPath { readonly path: string; readonly object: Ruled; readonly target: Pick<AclQuestion, 'kind' | 'uuid' | 'home'> }

const GLOBAL = 'global'

/** The object of a path: "global", or a collection and a name in it. Throws CLI_ERR_USAGE, CLI_ERR_NOT_FOUND, CLI_ERR_AMBIGUOUS. */
export async function findPath(dc: DataCenter, out: Output, path: string): Promise<FoundPath> {
  const { kumoiKinds: { kinds } } = await import('../kali/mod.ts')
  const slash = path.indexOf('/')
  const [collection, name] = slash < 0 ? [path, ''] : [path.slice(0, slash), path.slice(slash + 1)]
  const wanted = collection === GLOBAL ? 'globals' : collection
  const kind = kinds.find(({ plural }) => plural === wanted)
  if (kind === undefined || (name === '' && collection !== GLOBAL)) {
    const words = [GLOBAL, ...kinds.filter(({ kind: of }) => of !== 'Global').map(({ plural }) => plural)]
    const near = kind === undefined ? nearest(collection, words) : undefined
    throw CLI.USAGE({ problem: `"${path}" is no path of an object`, hint: near === undefined ? `Write global, or a collection and a name: pools/pool1, vms/web1, pms/alpha. Collections: ${words.slice(1).join(', ')}.` : `Did you mean ${near}${name === '' && near !== GLOBAL ? '/NAME' : name === '' ? '' : `/${name}`}?` })
  }
  const [object] = await findObjects<Ruled>(dc, out, { kind: kind.kind, one: kind.plural.replace(/s$/, ''), many: kind.plural }, [name === '' ? GLOBAL : name])
  const reference = object === undefined ? undefined : referenceOf(object)
  if (object === undefined || reference === undefined) throw new Error('one name gives one object')
  return { path, object, target: { kind: reference.kind, uuid: reference.uuid, home: reference.home } }
}

/** "vm:start,vm:stop" or several words -> rights, each checked against the kinds there are. Throws CLI_ERR_USAGE. */
export async function rightsOf(words: readonly string[]): Promise<readonly string[]> {
  const { kumoiKinds } = await import('../kali/mod.ts')
  const rights = [...new Set(words.flatMap((word) => word.split(',')).filter((word) => word !== ''))]
  if (rights.length === 0) throw CLI.USAGE({ problem: 'Which rights?', hint: 'A kind and a verb each, such as vm:start, vm:read or *:operate.' })
  for (const right of rights) {
    const problem = patternProblem(right, kumoiKinds)
    if (problem !== undefined) throw CLI.USAGE({ problem: `"${right}" is no right`, hint: `It must be ${problem}.` })
  }
  return rights
}

/** Throws CLI_ERR_USAGE when it is no principal that a rule can name. */
export function checkRulePrincipal(principal: string): void {
  const problem = rulePrincipalProblem(principal)
  if (problem !== undefined) throw CLI.USAGE({ problem: `"${principal}" is nobody that a rule can name`, hint: `Write ${problem}. Names are lower case.` })
}

/** "vm:start,vm:stop on pools/pool1" as operands -> rights and path. */
export function splitOn(command: string, operands: readonly string[]): { readonly rights: readonly string[]; readonly path: string } {
  const at = operands.lastIndexOf('on')
  const path = operands[at + 1]
  if (at < 0 || path === undefined || operands.length !== at + 2) throw CLI.USAGE({ problem: `kumoi ${command}: on what?`, hint: `kumoi ${command} WHO RIGHTS on PATH, for example: kumoi ${command} group:ops vm:start,vm:stop on pools/pool1` })
  return { rights: operands.slice(0, at), path }
}

export const ruleText = ({ effect, principal, verbs }: AclRule): string => `${effect} ${principal} ${verbs.join(' ')}`
