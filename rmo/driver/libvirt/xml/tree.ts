// XML as a tree that can be changed in place and written back: the floor of libvirt's texts.
//
//   text --parseXml--> XmlElement (elements, texts, comments, CDATA in their order) --writeXml--> text
//
// Owner file of fast-xml-parser. What parses here came from a hypervisor or from a user's `virsh edit`, so the
// reader is strict: one root, well-formed, no DOCTYPE (hence no entities but the five and character references,
// nothing to expand), length and nesting bounded, and whatever is wrong is RMO_ERR_DEFINITION_INVALID.
// Source: XML 1.0, sections 2.2 (characters), 3.3.3 (attribute values), 4.1 (references).

import { XMLParser, XMLValidator } from 'fast-xml-parser'
import { LIMITS } from '../../../../fabric/base.ts'
import { RMO } from '../../../errors.ts'

export interface XmlElement {
  name: string
  /** In order of appearance; names with their prefix ("xmlns:qemu"). */
  readonly attributes: Map<string, string>
  readonly children: XmlNode[]
}
export type XmlNode = XmlElement | { text: string } | { readonly comment: string } | { readonly cdata: string }

const ATTRIBUTES = ':@'
const TEXT = '#text'
const COMMENT = '#comment'
const CDATA = '#cdata'

const parser = new XMLParser({
  preserveOrder: true, trimValues: false, ignoreAttributes: false, attributeNamePrefix: '', parseTagValue: false, parseAttributeValue: false,
  // References are decoded below: the library's decoder also knows entities of a DOCTYPE, and HTML's.
  processEntities: false,
  commentPropName: COMMENT, cdataPropName: CDATA, textNodeName: TEXT, ignoreDeclaration: true, ignorePiTags: true,
  maxNestedTags: LIMITS.xmlDepthMax, jPath: false, onDangerousProperty: (name) => name,
})

/** Reads one document. `what` names it in errors ("domain web1"). Throws RMO_ERR_DEFINITION_INVALID, nothing else. */
export function parseXml(text: string, what: string): XmlElement {
  const invalid = (reason: string): Error => RMO.DEFINITION_INVALID({ what, reason })
  if (text.length > LIMITS.xmlCharsMax) throw invalid(`it has ${text.length} characters, at most ${LIMITS.xmlCharsMax} are read`)
  if (/<!doctype/i.test(text)) throw invalid('it has a DOCTYPE')
  let parsed: unknown
  try {
    const verdict = XMLValidator.validate(text)
    if (verdict !== true) throw new Error(`${verdict.err.msg} (line ${verdict.err.line})`)
    parsed = parser.parse(text)
  } catch (error) { throw invalid(error instanceof Error ? error.message : String(error)) }
  const roots = nodesOf(parsed, invalid).filter(isElement)
  const [root] = roots
  if (root === undefined || roots.length > 1) throw invalid(`it has ${roots.length} root elements`)
  return root
}

/** The library's ordered form -> ours. Recursion is bounded by maxNestedTags. */
function nodesOf(parsed: unknown, invalid: (reason: string) => Error): XmlNode[] {
  if (!Array.isArray(parsed)) throw invalid('it is no XML')
  return (parsed as readonly Record<string, unknown>[]).map((entry) => {
    const name = Object.keys(entry).find((key) => key !== ATTRIBUTES) ?? ''
    const value = entry[name]
    if (name === TEXT) return { text: decode(String(value), invalid) }
    if (name === COMMENT) return { comment: innerText(value) }
    if (name === CDATA) return { cdata: innerText(value) }
    const attributes = Object.entries(entry[ATTRIBUTES] ?? {})
      .map(([key, raw]): [string, string] => [key, decode(String(raw).replace(/[\t\n\r]/g, ' '), invalid)])
    return { name, attributes: new Map(attributes), children: nodesOf(value, invalid) }
  })
}

const innerText = (value: unknown): string => String((value as readonly Record<string, unknown>[])[0]?.[TEXT] ?? '')

const NAMED: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

function decode(text: string, invalid: (reason: string) => Error): string {
  if (!text.includes('&')) return text
  return text.replace(/&([^;&]*);?/g, (whole, name: string) => {
    const numeric = /^#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}))$/.exec(name)
    if (numeric !== null) {
      const point = numeric[1] === undefined ? Number(numeric[2]) : parseInt(numeric[1], 16)
      const character = point > 0x10ffff ? '' : String.fromCodePoint(point)
      if (whole.endsWith(';') && isXmlText(character) && character !== '') return character
    }
    const named = Object.hasOwn(NAMED, name) && whole.endsWith(';') ? NAMED[name] : undefined
    if (named === undefined) throw invalid(`it refers to ${JSON.stringify(whole.slice(0, 40))}`)
    return named
  })
}

/** Whether XML 1.0 can say it: no control characters but tab and line ends, no lone surrogate, not U+FFFE and U+FFFF. */
export const isXmlText = (text: string): boolean => !/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/u.test(text)

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&apos;', '\n': '&#10;', '\t': '&#9;', '\r': '&#13;' }
const escape = (text: string, what: RegExp): string => text.replace(what, (character) => ESCAPES[character] ?? character)

/** Texts and attribute values must satisfy isXmlText: checked where they come in (domain.ts: settingText). */
export function writeXml(node: XmlNode): string {
  if ('text' in node) return escape(node.text, /[&<>\r]/g)
  if ('comment' in node) return `<!--${node.comment}-->`
  if ('cdata' in node) return `<![CDATA[${node.cdata}]]>`
  const attributes = [...node.attributes].map(([name, value]) => ` ${name}='${escape(value, /[&<>'\n\t\r]/g)}'`).join('')
  if (node.children.length === 0) return `<${node.name}${attributes}/>`
  return `<${node.name}${attributes}>${node.children.map(writeXml).join('')}</${node.name}>`
}

// ---------------------------------------------------------------- looking

export const isElement = (node: XmlNode): node is XmlElement => 'name' in node
export const elements = (parent: XmlElement | undefined, name: string): XmlElement[] =>
  parent === undefined ? [] : parent.children.filter(isElement).filter((child) => child.name === name)
/** First element under `parent` along the path of names. */
export function find(parent: XmlElement | undefined, ...path: readonly string[]): XmlElement | undefined {
  let at = parent
  for (const name of path) at = at?.children.find((child): child is XmlElement => isElement(child) && child.name === name)
  return at
}
/** All text in it, CDATA too; undefined when there is no such element. */
export function textOf(parent: XmlElement | undefined, ...path: readonly string[]): string | undefined {
  const found = find(parent, ...path)
  return found?.children.map((child) => 'text' in child ? child.text : 'cdata' in child ? child.cdata : '').join('')
}
export const attributeOf = (element: XmlElement | undefined, name: string): string | undefined => element?.attributes.get(name)

// ---------------------------------------------------------------- making and changing

type Child = XmlElement | string | undefined
/** A new element; attributes that are undefined and children that are undefined are left out. */
export function element(name: string, attributes: Readonly<Record<string, string | number | undefined>> = {}, children: readonly Child[] = []): XmlElement {
  const kept = Object.entries(attributes).flatMap(([key, value]): [string, string][] => value === undefined ? [] : [[key, String(value)]])
  return { name, attributes: new Map(kept), children: children.flatMap((child) => child === undefined ? [] : [typeof child === 'string' ? { text: child } : child]) }
}

/** Adds it at the end, or after the last element called one of `after`, on a line of its own when its neighbours have theirs. */
export function insert(parent: XmlElement, child: XmlElement, after: readonly string[] = []): void {
  const { children } = parent
  const isMark = (node: XmlNode): boolean => isElement(node) && (after.length === 0 || after.includes(node.name))
  const last = children.findLastIndex(isMark)
  const mark = last === -1 ? children.findLastIndex(isElement) : last
  const before = children[mark - 1]
  const indent = before !== undefined && 'text' in before && before.text.trim() === '' ? [{ text: before.text }] : []
  children.splice(mark + 1, 0, ...indent, child)
}

/** Takes it out with the white space before it. */
export function remove(parent: XmlElement, child: XmlElement): void {
  const { children } = parent
  const at = children.indexOf(child)
  if (at === -1) return
  const before = children[at - 1]
  const indented = before !== undefined && 'text' in before && before.text.trim() === ''
  children.splice(indented ? at - 1 : at, indented ? 2 : 1)
}

/** Child of that name, made when it is not there. */
export function need(parent: XmlElement, name: string, after?: readonly string[]): XmlElement {
  const found = find(parent, name)
  if (found !== undefined) return found
  const made = element(name)
  insert(parent, made, after)
  return made
}

export function setText(target: XmlElement, text: string): void { target.children.splice(0, target.children.length, { text }) }

/** Sets attributes; undefined removes one. */
export function setAttributes(target: XmlElement, attributes: Readonly<Record<string, string | number | undefined>>): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined) target.attributes.delete(name)
    else target.attributes.set(name, String(value))
  }
}

/** Puts a new element where the one of its name was, adds it, or with undefined removes it. */
export function replace(parent: XmlElement, name: string, made: XmlElement | undefined, after?: readonly string[]): void {
  const old = find(parent, name)
  if (made === undefined) { if (old !== undefined) remove(parent, old) }
  else if (old === undefined) insert(parent, made, after)
  else parent.children[parent.children.indexOf(old)] = made
}
