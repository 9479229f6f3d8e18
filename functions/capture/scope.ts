// Which names a function reads from outside itself: a scope walk over its syntax tree. Pure.
//
// Declarations are collected when a scope is entered (var and function names hoist to the function, let,
// const and class to the block), so each identifier resolves the moment it is met. What resolves to no
// scope of the function is free. Also noted: how a free name is used (assigned, only under typeof, which
// members alone are read), and what cannot be shipped (lexical this, super, new.target, eval, import).

import type { AnyNode, AssignmentProperty, Class, Function as FunctionNode, Identifier, Pattern, Property } from 'acorn'

export interface FreeName {
  written: boolean
  /** Read anywhere but under `typeof`. */
  read: boolean
  /** Needed while the class text is evaluated (computed keys). */
  eager: boolean
  /** Members read when the name is only ever used as `name.member`; undefined: used whole. */
  members: Set<string> | undefined
  /** Offsets of its uses in the text that was parsed; those under `typeof` left out. */
  readonly uses: number[]
}

export type ProblemCode = 'THIS' | 'ARGUMENTS' | 'SUPER' | 'NEW_TARGET' | 'PRIVATE' | 'EVAL' | 'IMPORT'
export interface Problem { readonly code: ProblemCode; readonly name: string; readonly line: number; /** Offset in the text that was parsed. */ readonly at: number }

export interface ScopeReport { readonly free: ReadonlyMap<string, FreeName>; readonly problems: readonly Problem[] }

interface Scope { readonly names: Set<string>; readonly parent: Scope | undefined }

/** What the words this, arguments, super and new.target mean here. */
interface Context {
  readonly ownThis: boolean
  readonly ownArguments: boolean
  readonly ownSuper: boolean
  readonly eager: boolean
  /** Private names declared by the classes around. */
  readonly privates: ReadonlySet<string>
}

const OUTSIDE: Context = { ownThis: false, ownArguments: false, ownSuper: false, eager: false, privates: new Set() }

const isNode = (value: unknown): value is AnyNode => typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'

export function* childrenOf(node: AnyNode): Generator<AnyNode> {
  for (const value of Object.values(node) as unknown[]) {
    if (isNode(value)) yield value
    else if (Array.isArray(value)) for (const item of value) if (isNode(item)) yield item
  }
}

export function patternNames(pattern: Pattern | null, into: Set<string>): void {
  switch (pattern?.type) {
    case 'Identifier': into.add(pattern.name); break
    case 'ObjectPattern': for (const part of pattern.properties) patternNames(part.type === 'RestElement' ? part.argument : part.value, into); break
    case 'ArrayPattern': for (const part of pattern.elements) patternNames(part, into); break
    case 'AssignmentPattern': patternNames(pattern.left, into); break
    case 'RestElement': patternNames(pattern.argument, into); break
    default:
  }
}

/** var and function names below `node`, not entering functions. */
export function hoisted(node: AnyNode, into: Set<string>): void {
  if (node.type === 'VariableDeclaration' && node.kind === 'var') for (const part of node.declarations) patternNames(part.id, into)
  if (node.type === 'FunctionDeclaration') { if (node.id) into.add(node.id.name); return }
  if (node.type === 'FunctionExpression' || node.type === 'ArrowFunctionExpression' || node.type === 'ClassDeclaration' || node.type === 'ClassExpression') return
  for (const child of childrenOf(node)) hoisted(child, into)
}

/** let, const, class and function names declared directly in a list of statements. */
export function lexical(statements: readonly AnyNode[], into: Set<string>): void {
  for (const statement of statements) {
    if (statement.type === 'VariableDeclaration' && statement.kind !== 'var') for (const part of statement.declarations) patternNames(part.id, into)
    else if ((statement.type === 'ClassDeclaration' || statement.type === 'FunctionDeclaration') && statement.id !== null) into.add(statement.id.name)
  }
}

class Walker {
  readonly free = new Map<string, FreeName>()
  readonly problems: Problem[] = []
  #scope: Scope = { names: new Set(), parent: undefined }

  #within(names: Set<string>, walk: () => void): void {
    const outer = this.#scope
    this.#scope = { names, parent: outer }
    walk()
    this.#scope = outer
  }

  #problem(code: ProblemCode, name: string, node: AnyNode): void {
    this.problems.push({ code, name, line: node.loc?.start.line ?? 1, at: node.start })
  }

  #use(name: string, how: 'read' | 'write' | 'typeof' | { readonly member: string }, at: number, context: Context): void {
    for (let scope: Scope | undefined = this.#scope; scope !== undefined; scope = scope.parent) if (scope.names.has(name)) return
    let use = this.free.get(name)
    if (use === undefined) this.free.set(name, use = { written: false, read: false, eager: false, members: new Set(), uses: [] })
    if (how === 'write') use.written = true
    if (how !== 'typeof') {
      use.read = true
      use.uses.push(at)
    }
    if (typeof how === 'object') use.members?.add(how.member)
    else use.members = undefined
    use.eager ||= context.eager
  }

  each(nodes: Iterable<AnyNode | null>, context: Context): void {
    for (const node of nodes) if (node !== null) this.node(node, context)
  }

  node(node: AnyNode, context: Context): void {
    switch (node.type) {
      case 'Identifier': return this.#identifier(node, context)
      case 'ThisExpression': return context.ownThis ? undefined : this.#problem('THIS', 'this', node)
      case 'Super': return context.ownSuper ? undefined : this.#problem('SUPER', 'super', node)
      case 'PrivateIdentifier': return context.privates.has(node.name) ? undefined : this.#problem('PRIVATE', `#${node.name}`, node)
      case 'MetaProperty': return this.#meta(node.meta.name, node, context)
      case 'ImportExpression': return this.#problem('IMPORT', 'import()', node)
      case 'FunctionDeclaration': case 'FunctionExpression': case 'ArrowFunctionExpression': return this.#function(node, context)
      case 'ClassDeclaration': case 'ClassExpression': return this.#class(node, context)
      case 'MemberExpression': return this.#member(node.object, node.property, node.computed, context)
      case 'Property': return this.#property(node, context)
      case 'UnaryExpression':
        if (node.operator === 'typeof' && node.argument.type === 'Identifier') return this.#use(node.argument.name, 'typeof', node.start, context)
        return this.node(node.argument, context)
      case 'AssignmentExpression': this.#assigned(node.left, context); return this.node(node.right, context)
      case 'UpdateExpression': return this.#assigned(node.argument, context)
      case 'VariableDeclarator': this.#declared(node.id, context); return this.each([node.init ?? null], context)
      case 'CallExpression':
        if (node.callee.type === 'Identifier' && node.callee.name === 'eval') this.#problem('EVAL', 'eval', node)
        return this.each(childrenOf(node), context)
      case 'LabeledStatement': return this.node(node.body, context)
      case 'BreakStatement': case 'ContinueStatement': return
      default: return this.#block(node, context)
    }
  }

  #identifier(node: Identifier, context: Context): void {
    if (node.name === 'arguments' && context.ownArguments) return
    if (node.name === 'arguments') return this.#problem('ARGUMENTS', 'arguments', node)
    this.#use(node.name, 'read', node.start, context)
  }

  #meta(name: string, node: AnyNode, context: Context): void {
    if (name === 'import') this.#problem('IMPORT', 'import.meta', node)
    else if (!context.ownThis) this.#problem('NEW_TARGET', 'new.target', node)
  }

  #member(object: AnyNode, property: AnyNode, computed: boolean, context: Context): void {
    if (object.type === 'Identifier' && object.name !== 'arguments' && !computed && property.type === 'Identifier') {
      return this.#use(object.name, { member: property.name }, object.start, context)
    }
    this.node(object, context)
    if (computed || property.type === 'PrivateIdentifier') this.node(property, context)
  }

  #property(node: Property | AssignmentProperty, context: Context): void {
    if (node.computed) this.node(node.key, context)
    // Methods and accessors of object literals have their own this and super.
    if (node.method || node.kind !== 'init') this.#function(node.value as FunctionNode, context, { ownSuper: true })
    else this.node(node.value, context)
  }

  /** Statements and expressions that open a block scope, and all that open none. */
  #block(node: AnyNode, context: Context): void {
    const names = new Set<string>()
    switch (node.type) {
      case 'BlockStatement': case 'StaticBlock': lexical(node.body, names); break
      case 'Program':
        for (const statement of node.body) hoisted(statement, names)
        lexical(node.body, names)
        break
      case 'SwitchStatement': for (const part of node.cases) lexical(part.consequent, names); break
      case 'CatchClause': patternNames(node.param ?? null, names); break
      case 'ForStatement': if (node.init !== null && node.init !== undefined) lexical([node.init], names); break
      case 'ForInStatement': case 'ForOfStatement': lexical([node.left], names); break
      default: return this.each(childrenOf(node), context)
    }
    this.#within(names, () => {
      if (node.type === 'CatchClause') {
        if (node.param) this.#declared(node.param, context)
        return this.node(node.body, context)
      }
      if ((node.type === 'ForInStatement' || node.type === 'ForOfStatement') && node.left.type !== 'VariableDeclaration') {
        this.#assigned(node.left, context)
        return this.each([node.right, node.body], context)
      }
      this.each(childrenOf(node), context)
    })
  }

  /** Default values and computed keys of a declaring pattern; the names themselves are declared already. */
  #declared(pattern: Pattern, context: Context): void {
    switch (pattern.type) {
      case 'ObjectPattern':
        for (const part of pattern.properties) {
          if (part.type === 'RestElement') { this.#declared(part.argument, context); continue }
          if (part.computed) this.node(part.key, context)
          this.#declared(part.value, context)
        }
        break
      case 'ArrayPattern': for (const part of pattern.elements) if (part !== null) this.#declared(part, context); break
      case 'AssignmentPattern': this.#declared(pattern.left, context); this.node(pattern.right, context); break
      case 'RestElement': this.#declared(pattern.argument, context); break
      default:
    }
  }

  #assigned(pattern: AnyNode, context: Context): void {
    switch (pattern.type) {
      case 'Identifier': this.#use(pattern.name, 'write', pattern.start, context); break
      case 'ObjectPattern':
        for (const part of pattern.properties) {
          if (part.type === 'RestElement') { this.#assigned(part.argument, context); continue }
          if (part.computed) this.node(part.key, context)
          this.#assigned(part.value, context)
        }
        break
      case 'ArrayPattern': for (const part of pattern.elements) if (part !== null) this.#assigned(part, context); break
      case 'AssignmentPattern': this.#assigned(pattern.left, context); this.node(pattern.right, context); break
      case 'RestElement': this.#assigned(pattern.argument, context); break
      default: this.node(pattern, context)
    }
  }

  #function(node: FunctionNode, context: Context, own: { readonly ownSuper?: boolean } = {}): void {
    const arrow = node.type === 'ArrowFunctionExpression'
    const inner: Context = arrow ? context : { ...context, ownThis: true, ownArguments: true, ownSuper: own.ownSuper ?? false }
    const selfNames = new Set<string>(node.type === 'FunctionExpression' && node.id ? [node.id.name] : [])
    const parameters = new Set<string>()
    for (const parameter of node.params) patternNames(parameter, parameters)
    this.#within(selfNames, () => this.#within(parameters, () => {
      for (const parameter of node.params) this.#declared(parameter, inner)
      if (node.body.type !== 'BlockStatement') return this.node(node.body, inner)
      const names = new Set<string>()
      for (const statement of node.body.body) hoisted(statement, names)
      lexical(node.body.body, names)
      this.#within(names, () => this.each((node.body as { body: AnyNode[] }).body, inner))
    }))
  }

  #class(node: Class, context: Context): void {
    const privates = new Set(context.privates)
    for (const member of node.body.body) if ('key' in member && member.key.type === 'PrivateIdentifier') privates.add(member.key.name)
    const inside: Context = { ...context, privates }
    this.#within(new Set(node.id ? [node.id.name] : []), () => {
      if (node.superClass) this.node(node.superClass, inside)
      for (const member of node.body.body) {
        const body: Context = { ...inside, eager: false, ownThis: true, ownSuper: true, ownArguments: false }
        if (member.type === 'StaticBlock') this.#staticBlock(member.body, body)
        else {
          if (member.computed) this.node(member.key, inside)
          if (member.type === 'MethodDefinition') this.#function(member.value, body, { ownSuper: true })
          else if (member.value) this.node(member.value, body)
        }
      }
    })
  }

  #staticBlock(statements: readonly AnyNode[], context: Context): void {
    const names = new Set<string>()
    for (const statement of statements) hoisted(statement, names)
    lexical(statements, names)
    this.#within(names, () => this.each(statements, context))
  }

  /** Entry: the captured function or class itself. Its computed keys are needed while it is made. */
  root(node: AnyNode): void {
    const eager: Context = { ...OUTSIDE, eager: node.type === 'ClassExpression' }
    if (node.type === 'FunctionExpression') this.#function(node, OUTSIDE)
    else this.node(node, eager)
  }
}

/** Free names of one function or class node, or of a module without imports. */
export function freeNames(node: AnyNode): ScopeReport {
  const walker = new Walker()
  walker.root(node)
  return { free: walker.free, problems: walker.problems }
}
