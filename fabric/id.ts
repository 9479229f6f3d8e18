// Identifiers. A node's id is its Ed25519 public key in lower-case hex (64 characters).

export type NodeId = string
/** SHA-256 in lower-case hex (64 characters). */
export type Hash = string

const HEX_64 = /^[0-9a-f]{64}$/
export const isNodeId = (value: unknown): value is NodeId => typeof value === 'string' && HEX_64.test(value)
export const isHash = isNodeId as (value: unknown) => value is Hash
/** First 8 characters, for people. */
export const shortId = (id: string): string => id.slice(0, 8)
/** UUID derived from a node id (RFC 9562 version 8: custom), so that a machine keeps its uuid over restarts. */
export function uuidOfNode(id: NodeId): string {
  const variant = ((parseInt(id.slice(16, 17), 16) & 3) | 8).toString(16)
  return `${id.slice(0, 8)}-${id.slice(8, 12)}-8${id.slice(13, 16)}-${variant}${id.slice(17, 20)}-${id.slice(20, 32)}`
}
