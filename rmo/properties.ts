// Properties that an object does not have: which names are probed by the language and libraries, and what to say of the others.

import { nearest } from '../fabric/base.ts'
import { RMO } from './errors.ts'
import type { Kind } from './kind.ts'

/** Names by which libraries and the language probe values; asking for them is no mistake. */
const PROBED = new Set([
  ...Object.getOwnPropertyNames(Object.prototype), 'then', 'catch', 'finally', 'toJSON', 'inspect', 'length', 'size', 'next', 'return',
  'dmap', 'map', 'settled', 'code', 'message', 'stack', 'cause', 'nodeType', 'tagName', '$$typeof', 'asymmetricMatch', 'default',
])

/** The error that names what a kind has, and what was likely meant. */
export function propertyUnknown({ kind, shape, streams }: Kind, name: string, property: string): Error {
  const verbs = [...shape.verbs, ...Object.keys(streams), 'watch', 'unwatch']
  const collections = [...Object.keys(shape.collections), ...Object.keys(shape.references ?? {})]
  const near = nearest(property, [...shape.attributes, ...verbs, ...collections])
  return RMO.PROPERTY_UNKNOWN({ kind, name, property, near, attributes: shape.attributes, verbs, collections })
}

/** The error for reading a property that is not there; undefined when asking for it is no mistake. */
export const unknownProperty = (kind: Kind, name: string, property: string): Error | undefined =>
  PROBED.has(property) || kind.shape.attributes.includes(property) ? undefined : propertyUnknown(kind, name, property)
