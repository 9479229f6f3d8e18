// Rewrites the text of a captured class so that it can be made elsewhere without running its set-up again:
//
//   extends <expression>      -> extends $super: the class it has now, bound before the class is made
//   static x = init           -> static x        current values travel as own properties
//   static #x = init          -> static #x       current values are written back by cell.writeStatic
//   static { ... }            -> nothing: its effects are in the values
//   instance #x, #m() {}      -> a last private field and a static block, the hydrator of link.ts
//
// Edits stay on their line, so that line numbers in stacks are the author's. Pure.

import type { Class, MethodDefinition, PropertyDefinition } from 'acorn'

/** Names the rewritten text uses; free of collisions with the author's. */
export interface Reserved {
  /** Parameter of the template: the Cell of link.ts. */
  readonly cell: string
  readonly superclass: string
}

export interface ClassText {
  readonly text: string
  /** Whether an `extends` clause was replaced by reserved.superclass. */
  readonly derived: boolean
  /** Private instance fields in order of declaration, with '#'. */
  readonly privates: readonly string[]
  readonly staticPrivates: readonly string[]
  /** Has private instance elements, methods included, so instances need stamping. */
  readonly branded: boolean
  /** Set when instances cannot be made without running user code. */
  readonly unhydratable: string | undefined
}

interface Edit { readonly start: number; readonly end: number; readonly text: string }

const isPrivate = (member: PropertyDefinition | MethodDefinition): boolean => member.key.type === 'PrivateIdentifier'
const nameOf = (member: PropertyDefinition | MethodDefinition): string => `#${(member.key as { name: string }).name}`
const QUIET = new Set(['ArrowFunctionExpression', 'FunctionExpression', 'Literal', 'ThisExpression', 'Identifier'])

/** Blanks of the same height: deleting text must not move the lines below. */
const blank = (text: string): string => text.replace(/[^\n]/g, '')

/** `offset`: where the class text starts in the source that `node` was parsed from. */
export function rewriteClass(node: Class, source: string, offset: number, reserved: Reserved): ClassText {
  const edits: Edit[] = []
  const privates: string[] = []
  const staticPrivates: string[] = []
  let branded = false
  let constructor: MethodDefinition | undefined
  const initialised: PropertyDefinition[] = []
  for (const member of node.body.body) {
    if (member.type === 'StaticBlock') {
      edits.push({ start: member.start, end: member.end, text: blank(source.slice(member.start, member.end)) })
    } else if (member.type === 'MethodDefinition') {
      if (member.kind === 'constructor') constructor = member
      if (isPrivate(member) && !member.static) branded = true
    } else if (member.static) {
      if (member.value) edits.push({ start: keyEnd(member, source), end: member.value.end, text: blank(source.slice(member.key.end, member.value.end)) })
      if (isPrivate(member)) staticPrivates.push(nameOf(member))
    } else {
      if (isPrivate(member)) privates.push(nameOf(member))
      branded ||= isPrivate(member)
      if (member.value && !QUIET.has(member.value.type)) initialised.push(member)
    }
  }
  const derived = node.superClass !== null && node.superClass !== undefined && !(node.superClass.type === 'Literal' && node.superClass.value === null)
  if (derived && node.superClass) {
    edits.push({ start: node.superClass.start, end: node.superClass.end, text: reserved.superclass + blank(source.slice(node.superClass.start, node.superClass.end)) })
  }
  let unhydratable: string | undefined
  if (branded) {
    for (const member of initialised) {
      const value = member.value
      if (value) edits.push({ start: value.start, end: value.end, text: `${reserved.cell}.done===undefined?(${source.slice(value.start, value.end)}):undefined` })
    }
    if (derived && constructor !== undefined) {
      if (constructor.value.params.some(destructures)) unhydratable = 'its constructor destructures a parameter; take one object parameter and destructure it in the body'
      edits.push({ start: constructor.value.body.start + 1, end: constructor.value.body.start + 1, text: `if(${reserved.cell}.done!==undefined)super();` })
    }
  }
  const tail = hydrator(branded, privates, staticPrivates, reserved)
  if (tail !== '') edits.push({ start: node.body.end - 1, end: node.body.end - 1, text: tail })
  return { text: apply(source, edits, node.start - offset, node.end - offset, offset), derived, privates, staticPrivates, branded, unhydratable }
}

function destructures(parameter: { type: string; left?: { type: string } }): boolean {
  const pattern = parameter.type === 'AssignmentPattern' ? parameter.left?.type : parameter.type
  return pattern === 'ObjectPattern' || pattern === 'ArrayPattern'
}

/** End of a field's key, with the bracket of a computed one. */
const keyEnd = (member: PropertyDefinition, source: string): number =>
  member.computed ? source.indexOf(']', member.key.end) + 1 : member.key.end

function hydrator(branded: boolean, privates: readonly string[], staticPrivates: readonly string[], { cell }: Reserved): string {
  const assign = (target: string, names: readonly string[]): string => names.map((name, i) => `${target}.${name}=$v[${i}];`).join('')
  const instance = branded ? `${cell}.size=${privates.length};${cell}.write=($o,$v)=>{${assign('$o', privates)}};` : ''
  const statics = staticPrivates.length > 0 ? `const $c=this;${cell}.writeStatic=$v=>{${assign('$c', staticPrivates)}};` : ''
  if (instance === '' && statics === '') return ''
  return `;static{${instance}${statics}}${branded ? `#${cell}=${cell}.done===undefined?undefined:${cell}.done(this);` : ''}`
}

function apply(source: string, edits: Edit[], start: number, end: number, offset: number): string {
  let out = ''
  let at = start + offset
  for (const edit of edits.toSorted((a, b) => a.start - b.start)) {
    out += source.slice(at, edit.start) + edit.text
    at = edit.end
  }
  return out + source.slice(at, end + offset)
}
