// Source text of one function or class -> what must be captured, and a template that links it elsewhere.
// Pure and cached by text: the same closure in a loop is parsed once.
//
// `toString()` gives one of: an expression (arrow, function, class) or a method or accessor as written in
// a class or object literal. Types are already stripped (blank-padded), so the text is JavaScript.
// acorn's owner file.

import { parse } from 'acorn'
import type { AnyNode, Class, Function as FunctionNode, Node, Options, Program, Property } from 'acorn'
import { LIMITS } from '../../fabric/base.ts'
import { rewriteClass } from './class-text.ts'
import type { ClassText, Reserved } from './class-text.ts'
import { freeNames } from './scope.ts'
import type { FreeName, Problem } from './scope.ts'

export interface Variable extends FreeName { readonly name: string }

export interface Analysis {
  /** Free names; eager ones first, else in order of first use. */
  readonly variables: readonly Variable[]
  readonly problems: readonly Problem[]
  readonly classText: ClassText | undefined
  /** Name that stands for the superclass in a rewritten class text. */
  readonly superclassName: string
  /** The template's code when the variables in `captured` are bound: `($k)=>{...return()=>(text)}`. */
  template(captured: readonly Variable[]): string
}

/** Analysis, or why the text does not parse on its own. */
export type AnalysisResult = Analysis | { readonly syntax: string; readonly hint: 'PRIVATE' | 'SUPER' | 'NEW_TARGET' | 'SYNTAX' }

const cache = new Map<string, AnalysisResult>()

export interface Source {
  readonly text: string
  /** Function.name; kept so that stacks at the target read the same. */
  readonly name: string
  /** Sloppy functions keep their mode; everything else is strict. */
  readonly sloppy: boolean
}

export function analyse(source: Source): AnalysisResult {
  const key = `${source.sloppy ? '~' : ''}${source.name}\n${source.text}`
  const known = cache.get(key)
  if (known !== undefined) return known
  if (cache.size >= LIMITS.captureAnalysesMax) cache.delete(cache.keys().next().value ?? '')
  const made = makeAnalysis(source)
  cache.set(key, made)
  return made
}

interface Parsed {
  readonly node: Node
  /** The source that was parsed; node positions are in it. */
  readonly wrapped: string
  /** Where the author's text starts in `wrapped`. */
  readonly offset: number
  readonly property: Property | undefined
}

const OPTIONS: Options = { ecmaVersion: 'latest', sourceType: 'module', locations: true, allowSuperOutsideMethod: true, checkPrivateFields: false }

/** Tree of a whole module, such as a bundle. */
export const parseModule = (text: string): Program => parse(text, OPTIONS)

function tryParse(wrapped: string, offset: number, sloppy: boolean): Parsed | string {
  try {
    const statement = parse(wrapped, { ...OPTIONS, sourceType: sloppy ? 'script' : 'module' }).body[0]
    if (statement?.type !== 'ExpressionStatement') return 'not an expression'
    const node = statement.expression
    if (offset === 1) return { node, wrapped, offset, property: undefined }
    const property = node.type === 'ObjectExpression' ? node.properties[0] : undefined
    return property?.type === 'Property' ? { node: property.value, wrapped, offset, property } : 'not a method'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function parseText({ text, sloppy }: Source): Parsed | string {
  const expression = tryParse(`(${text}\n)`, 1, sloppy)
  if (typeof expression !== 'string' && /Function|Class/.test(expression.node.type)) return expression
  const method = tryParse(`({${text}\n})`, 2, sloppy)
  if (typeof method !== 'string') return method
  return typeof expression === 'string' ? expression : method
}

function makeAnalysis(source: Source): AnalysisResult {
  let parsed = parseText(source)
  // A strict-looking function may still need sloppy syntax (sloppy arrows cannot be told apart).
  let sloppy = source.sloppy
  if (typeof parsed === 'string' && !sloppy) {
    const again = parseText({ ...source, sloppy: true })
    if (typeof again !== 'string') { parsed = again; sloppy = true }
  }
  if (typeof parsed === 'string') {
    const hint = /new\.target/.test(parsed) ? 'NEW_TARGET' : /super/.test(parsed) ? 'SUPER' : /[Pp]rivate|#/.test(parsed) ? 'PRIVATE' : 'SYNTAX'
    return { syntax: parsed, hint }
  }
  return parsed.node.type === 'ClassExpression' ? analyseClass(source, parsed) : analyseFunction(source, parsed, sloppy)
}

/** A name that the text does not contain. */
function unused(stem: string, text: string): string {
  let name = stem
  while (text.includes(name)) name += '_'
  return name
}

const reservedIn = (text: string): Reserved => ({ cell: unused('$k', text), superclass: unused('$super', text) })

function analyseClass(source: Source, parsed: Parsed): Analysis {
  const reserved = reservedIn(source.text)
  const classText = rewriteClass(parsed.node as Class, parsed.wrapped, parsed.offset, reserved)
  const again = tryParse(`(${classText.text}\n)`, 1, false)
  if (typeof again === 'string') throw new Error(`class text did not survive rewriting: ${again}`)
  const report = freeNames(again.node as AnyNode)
  const variables = variablesOf(report.free, reserved)
  const named = (parsed.node as Class).id !== null || source.name === '' ? classText.text : naming(classText.text, source.name)
  return { variables, problems: report.problems, classText, superclassName: reserved.superclass, template: (captured) => template(reserved, captured, named, false) }
}

function analyseFunction(source: Source, parsed: Parsed, sloppy: boolean): Analysis {
  const reserved = reservedIn(source.text)
  const node = parsed.node as FunctionNode
  const report = freeNames(node as AnyNode)
  const expression = parsed.property !== undefined ? methodExpression(parsed.property, parsed.wrapped, source.name)
    : (node.type === 'FunctionExpression' && node.id) || source.name === '' ? `(${source.text})`
      : naming(source.text, source.name)
  return {
    variables: variablesOf(report.free, reserved), problems: report.problems, classText: undefined, superclassName: reserved.superclass,
    template: (captured) => template(reserved, captured, expression, sloppy),
  }
}

/** Anonymous expressions take the name of the key they are the value of. */
const naming = (text: string, name: string): string => `({[${JSON.stringify(name)}]:${text}\n})[${JSON.stringify(name)}]`

/** A method or accessor again as a member of an object literal, under a plain key. */
function methodExpression(property: Property, wrapped: string, functionName: string): string {
  const { value, kind } = property as Property & { value: FunctionNode & { start: number; end: number } }
  const name = JSON.stringify(functionName.replace(/^[gs]et /, ''))
  const prefix = `${value.async ? 'async ' : ''}${value.generator ? '*' : ''}${kind === 'init' ? '' : `${kind} `}`
  const literal = `({${prefix}[${name}]${wrapped.slice(value.start, value.end)}})`
  return kind === 'init' ? `${literal}[${name}]` : `Object.getOwnPropertyDescriptor(${literal},${name}).${kind}`
}

function variablesOf(free: ReadonlyMap<string, FreeName>, reserved: Reserved): Variable[] {
  const all = [...free].filter(([name]) => name !== reserved.cell).map(([name, use]) => ({ name, ...use }))
  return [...all.filter((variable) => variable.eager), ...all.filter((variable) => !variable.eager)]
}

function template({ cell }: Reserved, captured: readonly Variable[], expression: string, sloppy: boolean): string {
  const names = captured.map(({ name }) => name)
  const bind = names.length === 0 ? '' : `let ${names.join(',')};${cell}.set=${cell}=>{${names.map((name, i) => `${name}=${cell}[${i}]`).join(';')}};`
  const eager = captured.filter((variable) => variable.eager).length
  return `[${eager},(${cell})=>{${sloppy ? '' : '"use strict";'}${bind}return()=>${/^class\b/.test(expression) ? `(${expression})` : expression}}]`
}
