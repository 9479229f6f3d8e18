// Closure sites: functions written inside a bundle that a d-verb ships. Each is marked where it stands and stands once more
// in a table at module level, as a template that takes the captured values (functions/value/link.ts):
//
//   pms.dfilter(pm => pm.load > limit)   ->   pms.dfilter($kumoi.ship(0, pm => pm.load > limit, () => ({ limit })))
//   sites[0] = [0, ($c) => { let limit; $c.set = ($v) => { limit = $v[0] }; return () => (pm => pm.load > limit) }]
//
// By value travel: names local to a function around it, and variables of the module that are assigned again. All else at
// module level is at the target anyway, which evaluates the same bundle. Local functions that a site captures become sites
// too. What cannot be shipped is refused here, with its place in the user's file. Pure: text and map in, text and map out.

import type { AnyNode, Node } from 'acorn'
import { parseModule } from '../capture/analysis.ts'
import { SANDBOX_GLOBALS } from '../capture/known.ts'
import { freeNames, type ProblemCode } from '../capture/scope.ts'
import { FUNCTIONS } from '../errors.ts'
import { scopesOf, type Binding, type ModuleScopes } from './scopes.ts'
import { decodeMappings, Splicer, type SourceMapText } from './splice.ts'

/** Verbs whose functions travel, and which of their arguments the function is. */
const SHIPPING: Readonly<Record<string, number>> = {
  dmap: 0, dfilter: 0, dflatMap: 0, dforEach: 0, dreduce: 0, dfold: 1, dcount: 0, dsome: 0, devery: 0, dfind: 0, dgroupBy: 0, dsum: 0, dmin: 0, dmax: 0,
}

const NOWHERE = 'the bundle'

type FunctionLike = Extract<AnyNode, { type: 'ArrowFunctionExpression' | 'FunctionExpression' | 'FunctionDeclaration' }>
interface Site { readonly node: FunctionLike; readonly name: string; readonly captured: readonly string[] }

const PROBLEMS: Readonly<Record<ProblemCode, readonly [what: string, hint: string]>> = {
  THIS: ['a function that uses `this` of the function around it', 'put what it needs into a const first'],
  ARGUMENTS: ['a function that uses `arguments` of the function around it', 'name the parameters'],
  SUPER: ['a function that uses `super`', 'call the method outside and use its result'],
  NEW_TARGET: ['a function that uses `new.target` of the function around it', 'put it into a const first'],
  PRIVATE: ['a function that uses a private name of the class around it', 'read it into a const first'],
  EVAL: ['a function that calls `eval`', 'write the code out'],
  IMPORT: ['a function with an import() of something unknown', 'import it at the top of the file'],
}

export interface Rewritten {
  readonly text: string
  readonly map: SourceMapText
  /** Uses of names that neither the module nor a sandbox has, as "hot.ts:5:9: fetch"; those in packages left out. */
  readonly unknown: readonly string[]
}

/**
 * Text of an ES module that imports nothing -> text of the program; the default export is its definition. Words of `renames` are
 * replaced on the way. Throws BUNDLE_SHIPPED.
 */
export function rewriteSites(text: string, map: SourceMapText, renames: ReadonlyMap<string, string> = new Map()): Rewritten {
  const finder = new SiteFinder(text, map)
  const sites = finder.find()
  return { ...new Writer(finder, sites, renames).write(), unknown: finder.unknownNames() }
}

class SiteFinder {
  readonly text: string
  readonly map: SourceMapText
  readonly program
  readonly scopes: ModuleScopes
  readonly splicer: Splicer
  readonly #sites = new Map<Node, Site>()

  constructor(text: string, map: SourceMapText) {
    this.text = text
    this.map = map
    this.program = parseModule(text)
    this.scopes = scopesOf(this.program)
    this.splicer = new Splicer(text, decodeMappings(map.mappings))
  }

  find(): readonly Site[] {
    for (const call of this.scopes.calls) {
      if (call.type !== 'CallExpression' || call.callee.type !== 'MemberExpression' || call.callee.computed || call.callee.property.type !== 'Identifier') continue
      const verb = call.callee.property.name
      const position = Object.hasOwn(SHIPPING, verb) ? SHIPPING[verb] : undefined
      const argument = position === undefined ? undefined : call.arguments[position]
      if (argument !== undefined) this.#mark(argument, call, '')
    }
    return [...this.#sites.values()].sort((a, b) => a.node.start - b.node.start)
  }

  unknownNames(): readonly string[] {
    const { free } = freeNames({ ...this.program, body: this.program.body.filter(({ type }) => type !== 'ExportNamedDeclaration') })
    const used = [...free].filter(([name]) => name !== '$kumoi' && !SANDBOX_GLOBALS.has(name)).flatMap(([name, { uses }]) => uses.map((offset) => ({ name, offset })))
    const told = used.sort((a, b) => a.offset - b.offset).map(({ name, offset }) => ({ name, where: this.where(offset) }))
    return [...new Set(told.filter(({ where }) => where !== NOWHERE && !where.startsWith('node_modules/')).map(({ name, where }) => `${where}: ${name}`))]
  }

  /** Marks the functions that an expression standing at `place` may be, as far as the text tells; the rest shows at run time. */
  #mark(node: AnyNode, place: Node, name: string, seen: ReadonlySet<Node> = new Set()): void {
    if (seen.has(node)) return
    const next = new Set(seen).add(node)
    switch (node.type) {
      case 'ArrowFunctionExpression': case 'FunctionExpression': case 'FunctionDeclaration': return this.#add(node, name)
      case 'ParenthesizedExpression': return this.#mark(node.expression, place, name, next)
      case 'ConditionalExpression':
        this.#mark(node.consequent, place, name, next)
        return this.#mark(node.alternate, place, name, next)
      case 'LogicalExpression':
        this.#mark(node.left, place, name, next)
        return this.#mark(node.right, place, name, next)
      case 'Identifier': {
        const binding = this.#resolve(node.name, place)
        return binding?.value === undefined ? undefined : this.#mark(binding.value, this.#placeOf(binding.value, place), node.name, next)
      }
      // A function made by a function: above(0.9).
      case 'CallExpression': {
        const maker = node.callee.type === 'Identifier' ? this.#resolve(node.callee.name, place)?.value : undefined
        if (maker !== undefined) for (const returned of returnsOf(maker)) this.#mark(returned, returned, '', next)
        return
      }
      default:
    }
  }

  #resolve(name: string, place: Node): Binding | undefined { return (this.scopes.around.get(place) ?? this.scopes.module).resolve(name) }

  /** Functions and calls know their scope; for what is neither, that of the asker is near enough: names are unique in esbuild's output. */
  #placeOf(node: AnyNode, otherwise: Node): Node { return this.scopes.around.has(node) ? node : otherwise }

  #add(node: FunctionLike, name: string): void {
    if (this.#sites.has(node)) return
    const report = freeNames(node)
    const [problem] = report.problems
    if (problem !== undefined) this.#refuse(problem.at, ...PROBLEMS[problem.code])
    const captured: Binding[] = []
    for (const [free, use] of report.free) {
      const binding = this.#resolve(free, node)
      if (binding === undefined || (node.type === 'FunctionDeclaration' && binding.value === node)) continue
      if (use.written) this.#refuse(node.start, `a function that assigns to \`${free}\`, which stands outside of it,`, 'return the value instead, and put it together where the answers come back')
      const local = binding.scope !== this.scopes.module
      if (!local && binding.writes === 0) continue
      if (local && (binding.value?.type === 'ClassDeclaration' || binding.value?.type === 'ClassExpression')) {
        this.#refuse(node.start, `a function that uses the class \`${free}\` of the function around it`, 'declare the class at the top of the file')
      }
      captured.push(binding)
    }
    this.#sites.set(node, { node, name: node.type === 'ArrowFunctionExpression' || !node.id ? name : '', captured: captured.map((binding) => binding.name) })
    for (const binding of captured) this.#markHeld(binding)
  }

  /** Functions among captured values must carry a mark too: helpers, and those in an object or array written out. */
  #markHeld({ value, name }: Binding): void {
    if (value === undefined) return
    if (value.type === 'ObjectExpression') {
      for (const part of value.properties) if (part.type === 'Property' && !part.method && part.kind === 'init' && isFunction(part.value)) this.#mark(part.value, part.value, '')
    } else if (value.type === 'ArrayExpression') {
      for (const part of value.elements) if (part !== null && isFunction(part)) this.#mark(part, part, '')
    } else this.#mark(value, value, name)
  }

  #refuse(offset: number, what: string, hint: string): never {
    throw FUNCTIONS.BUNDLE_SHIPPED({ where: this.where(offset), what, hint })
  }

  where(offset: number): string {
    const segment = this.splicer.segmentAt(offset)
    return segment === undefined ? NOWHERE : `${this.map.sources[segment.source] ?? NOWHERE}:${segment.sourceLine + 1}:${segment.sourceColumn + 1}`
  }
}

const isFunction = (node: AnyNode): boolean => node.type === 'ArrowFunctionExpression' || node.type === 'FunctionExpression'

/** What a function answers, where its own body says so. */
function returnsOf(maker: AnyNode): AnyNode[] {
  if (maker.type === 'ArrowFunctionExpression' && maker.body.type !== 'BlockStatement') return isFunction(maker.body) ? [maker.body] : []
  if ((maker.type === 'ArrowFunctionExpression' || maker.type === 'FunctionExpression' || maker.type === 'FunctionDeclaration') && maker.body.type === 'BlockStatement') {
    return maker.body.body.flatMap((statement) => (statement.type === 'ReturnStatement' && statement.argument && isFunction(statement.argument) ? [statement.argument] : []))
  }
  return []
}

/** A text to put in at an offset of the old text, instead of what stood there until `until`; `owner` is the site that it marks. */
interface Insertion { readonly at: number; readonly until: number; readonly text: string; readonly owner: Node | undefined; /** Outer marks open first and close last. */ readonly order: number }

class Writer {
  readonly #finder: SiteFinder
  readonly #sites: readonly Site[]
  readonly #insertions: readonly Insertion[]

  constructor(finder: SiteFinder, sites: readonly Site[], renames: ReadonlyMap<string, string>) {
    this.#finder = finder
    this.#sites = sites
    this.#insertions = [...sites.flatMap((site, number) => this.#marks(site, number)), ...this.#renamings(renames)].sort((a, b) => a.at - b.at || a.order - b.order)
  }

  #renamings(renames: ReadonlyMap<string, string>): Insertion[] {
    const { text } = this.#finder
    const found: Insertion[] = []
    for (const [word, to] of renames) {
      for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) found.push({ at, until: at + word.length, text: to, owner: undefined, order: 0 })
    }
    return found
  }

  #marks({ node, name, captured }: Site, number: number): Insertion[] {
    const tail = `, () => (${captured.length === 0 ? '{}' : `{ ${captured.join(', ')} }`})${name === '' ? '' : `, ${JSON.stringify(name)}`})`
    if (node.type !== 'FunctionDeclaration') {
      return [{ at: node.start, until: node.start, text: `$kumoi.ship(${number}, `, owner: node, order: node.start - node.end }, { at: node.end, until: node.end, text: tail, owner: node, order: node.end - node.start - 0.5 }]
    }
    const place = this.#finder.scopes.places.get(node)
    const at = place?.start ?? node.start
    return [{ at, until: at, text: `${place?.opened === true ? ' ' : ''}$kumoi.ship(${number}, ${node.id?.name ?? ''}${tail}; `, owner: node, order: -Infinity }]
  }

  write(): { readonly text: string; readonly map: SourceMapText } {
    const { program, splicer, map, text } = this.#finder
    const ending = program.body.find((statement) => statement.type === 'ExportNamedDeclaration')
    const definition = ending?.specifiers.find(({ exported }) => exported.type === 'Identifier' && exported.name === 'default')?.local
    // Line 1 is ours, so that the parenthesis which the sandbox puts before a program shifts no column of the user's.
    splicer.insert('(environment, runtime) => runtime.bundle(environment, ($kumoi) => {"use strict";\n')
    this.#copy(0, ending?.start ?? text.length, undefined)
    splicer.insert('\nreturn { sites: [')
    const cell = unused('$c', text), values = unused('$v', text)
    for (const { node, name, captured } of this.#sites) {
      const binding = captured.length === 0 ? '' : `let ${captured.join(', ')}; ${cell}.set = (${values}) => { ${captured.map((each, i) => `${each} = ${values}[${i}]`).join('; ')} }; `
      splicer.insert(`\n[0, (${cell}) => { ${binding}return () => ${name === '' ? '(' : `({ ${JSON.stringify(name)}: `}`)
      this.#copy(node.start, node.end, node)
      splicer.insert(`${name === '' ? ')' : ` })[${JSON.stringify(name)}]`} }],`)
    }
    splicer.insert(`], definition: ${definition?.type === 'Identifier' ? definition.name : 'undefined'} } })`)
    const { text: made, mappings } = splicer.finish()
    return { text: made, map: { ...map, mappings } }
  }

  /** The old text from `from` to `to` with the marks inside; without those of `whole` itself. */
  #copy(from: number, to: number, whole: Node | undefined): void {
    let at = from
    for (const insertion of this.#insertions) {
      if (whole !== undefined && (insertion.owner === undefined || insertion.owner === whole || insertion.owner.start < from || insertion.owner.end > to)) continue
      this.#finder.splicer.slice(at, insertion.at)
      this.#finder.splicer.insert(insertion.text)
      at = insertion.until
    }
    this.#finder.splicer.slice(at, to)
  }
}

function unused(stem: string, text: string): string {
  let name = stem
  while (text.includes(name)) name += '_'
  return name
}
