// Scopes of a whole bundled module: which declaration a name means at a place, and what that declaration holds. Pure.
// Step before sites.ts; capture/scope.ts answers the opposite question (what is free in one function).
//
// Declarations are collected when a scope is entered, so a name resolves the moment it is met; assignments are counted on
// the way, because a variable that is assigned again must travel by value.

import type { AnyNode, Class, Function as FunctionNode, Node, Program } from 'acorn'
import { childrenOf, hoisted, lexical, patternNames } from '../capture/scope.ts'

export interface Binding {
  readonly name: string
  readonly scope: Scope
  /** Function, class or initialiser that the declaration gives it; undefined for parameters, patterns and the like. */
  value: AnyNode | undefined
  /** Assignments after (or instead of) the declaration's own. */
  writes: number
}

export class Scope {
  readonly parent: Scope | undefined
  readonly #bindings = new Map<string, Binding>()

  constructor(names: Iterable<string>, parent: Scope | undefined) {
    this.parent = parent
    for (const name of names) this.#bindings.set(name, { name, scope: this, value: undefined, writes: 0 })
  }

  /** The declaration that `name` means here; undefined: a global. */
  resolve(name: string): Binding | undefined { return this.#bindings.get(name) ?? this.parent?.resolve(name) }
}

/** A block, function body or program in whose list a function is declared. */
export interface Place { readonly start: number; readonly opened: boolean }

export interface ModuleScopes {
  readonly module: Scope
  /** Scope in which a function, class or call stands. */
  readonly around: ReadonlyMap<Node, Scope>
  /** Where statements can be put so that they run before any other of the list that declares this function. */
  readonly places: ReadonlyMap<Node, Place>
  readonly calls: readonly AnyNode[]
}

class Collector {
  readonly around = new Map<Node, Scope>()
  readonly places = new Map<Node, Place>()
  readonly calls: AnyNode[] = []

  program(node: Program): Scope {
    const names = new Set<string>()
    for (const statement of node.body) hoisted(statement, names)
    lexical(node.body, names)
    const scope = new Scope(names, undefined)
    this.#list(node.body, { start: node.body[0]?.start ?? node.end, opened: false }, scope)
    return scope
  }

  #list(statements: readonly AnyNode[], place: Place, scope: Scope): void {
    for (const statement of statements) {
      if (statement.type === 'FunctionDeclaration') this.places.set(statement, place)
      this.#visit(statement, scope)
    }
  }

  #each(nodes: Iterable<AnyNode>, scope: Scope): void {
    for (const node of nodes) this.#visit(node, scope)
  }

  #visit(node: AnyNode, scope: Scope): void {
    switch (node.type) {
      case 'FunctionDeclaration': case 'FunctionExpression': case 'ArrowFunctionExpression': return this.#function(node, scope)
      case 'ClassDeclaration': case 'ClassExpression': return this.#class(node, scope)
      case 'VariableDeclarator':
        if (node.id.type === 'Identifier' && node.init) {
          const binding = scope.resolve(node.id.name)
          if (binding !== undefined && binding.value === undefined) binding.value = node.init
          else if (binding !== undefined) binding.writes++
        }
        break
      case 'AssignmentExpression': this.#written(node.left, scope); break
      // `X || (X = {})` as TypeScript writes namespaces: the variable's first value, not another one.
      case 'LogicalExpression':
        if (node.operator === '||' && node.left.type === 'Identifier' && node.right.type === 'AssignmentExpression' && node.right.left.type === 'Identifier' && node.right.left.name === node.left.name) {
          return this.#visit(node.right.right, scope)
        }
        break
      case 'UpdateExpression': this.#written(node.argument, scope); break
      case 'ForInStatement': case 'ForOfStatement':
        if (node.left.type !== 'VariableDeclaration') this.#written(node.left, scope)
        break
      case 'CallExpression': this.calls.push(node); this.around.set(node, scope); break
      default:
    }
    this.#block(node, scope)
  }

  #block(node: AnyNode, scope: Scope): void {
    const names = new Set<string>()
    switch (node.type) {
      case 'BlockStatement': case 'StaticBlock':
        lexical(node.body, names)
        return this.#list(node.body, { start: node.start + (node.type === 'BlockStatement' ? 1 : 0), opened: true }, new Scope(names, scope))
      case 'SwitchStatement': for (const part of node.cases) lexical(part.consequent, names); break
      case 'CatchClause': patternNames(node.param ?? null, names); break
      case 'ForStatement': if (node.init) lexical([node.init], names); break
      case 'ForInStatement': case 'ForOfStatement': lexical([node.left], names); break
      default: return this.#each(childrenOf(node), scope)
    }
    this.#each(childrenOf(node), new Scope(names, scope))
  }

  #written(pattern: AnyNode, scope: Scope): void {
    const names = new Set<string>()
    patternNames(pattern as Parameters<typeof patternNames>[0], names)
    for (const name of names) {
      const binding = scope.resolve(name)
      if (binding !== undefined) binding.writes++
    }
  }

  #function(node: FunctionNode, scope: Scope): void {
    this.around.set(node, scope)
    if (node.type === 'FunctionDeclaration' && node.id) {
      const binding = scope.resolve(node.id.name)
      if (binding !== undefined) binding.value ??= node as AnyNode
    }
    const self = node.type === 'FunctionExpression' && node.id ? new Scope([node.id.name], scope) : scope
    const names = new Set<string>()
    for (const parameter of node.params) patternNames(parameter, names)
    const inner = new Scope(names, self)
    this.#each(node.params, inner)
    if (node.body.type !== 'BlockStatement') return this.#visit(node.body, inner)
    const local = new Set<string>()
    for (const statement of node.body.body) hoisted(statement, local)
    lexical(node.body.body, local)
    this.#list(node.body.body, { start: node.body.start + 1, opened: true }, new Scope(local, inner))
  }

  #class(node: Class, scope: Scope): void {
    this.around.set(node, scope)
    if (node.type === 'ClassDeclaration' && node.id) {
      const binding = scope.resolve(node.id.name)
      if (binding !== undefined) binding.value ??= node as AnyNode
    }
    this.#each(childrenOf(node as AnyNode), new Scope(node.id ? [node.id.name] : [], scope))
  }
}

export function scopesOf(program: Program): ModuleScopes {
  const collector = new Collector()
  const module = collector.program(program)
  return { module, around: collector.around, places: collector.places, calls: collector.calls }
}
