// Where in the walk we are: the path shown in errors (fn.helper.table) and the function whose file:line goes
// with it. Locations are asked of the engine only when an error is being built.

import { relative } from 'node:path'
import type { CodedError } from '../../fabric/base.ts'
import { errorCode } from '../../fabric/base.ts'
import { FUNCTIONS } from '../errors.ts'
import { formatPath } from '../value/path.ts'
import type { PathKey } from '../value/path.ts'
import { locationOf } from './inspect.ts'

export interface At { readonly path: string; readonly where: string }

interface Frame { readonly fn: unknown; readonly depth: number }

export class Trail {
  readonly root: string
  /** Functions being walked, outermost first, each with the number of keys that lead to it. */
  readonly #frames: Frame[] = []

  constructor(root: string) { this.root = root }

  enter(fn: unknown, keys: readonly PathKey[]): void { this.#frames.push({ fn, depth: keys.length }) }
  leave(): void { this.#frames.pop() }
  get depth(): number { return this.#frames.length }

  /** For messages: the path, and " (file:line)" of the innermost function around it. */
  at(keys: readonly PathKey[]): At {
    const fn = this.#frames.at(-1)?.fn
    return { path: formatPath(this.root, keys), where: fn === undefined ? '' : where(fn) }
  }

  /** When the walk had entered Node's own code, the error that says so instead of what was met deep inside. */
  insideNode(keys: readonly PathKey[], cause: CodedError): CodedError | undefined {
    if (errorCode(cause) === FUNCTIONS.CAPTURE_BUILTIN.code) return undefined
    for (const [index, { fn, depth }] of this.#frames.entries()) {
      if (index === 0 || locationOf(fn)?.url.startsWith('node:') !== true) continue
      const outer = this.#frames[index - 1]?.fn
      return FUNCTIONS.CAPTURE_BUILTIN({ path: formatPath(this.root, keys.slice(0, depth)), where: where(outer), name: `${(fn as { name?: string }).name || 'a function'} (internal)` }, { cause })
    }
    return undefined
  }
}

function where(fn: unknown): string {
  const text = locationOf(fn)?.text
  if (text === undefined) return ''
  const near = relative(process.cwd(), text)
  return ` (${near.startsWith('..') ? text : near})`
}
