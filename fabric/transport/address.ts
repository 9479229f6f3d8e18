// "host:port" texts. Pure, except for listing this machine's own addresses.

import { networkInterfaces } from 'node:os'

export interface Address { readonly host: string; readonly port: number }

/** Undefined when the text is no "host:port" with a usable port. */
export function splitAddress(text: string): Address | undefined {
  const colon = text.lastIndexOf(':')
  const port = Number(text.slice(colon + 1))
  const host = text.slice(0, colon).replace(/^\[|\]$/g, '')
  return colon > 0 && host !== '' && Number.isInteger(port) && port > 0 && port < 65_536 ? { host, port } : undefined
}

/** Where others can dial a listener on `host`: itself, or for the wildcard every address of this machine. */
export function dialableAddresses(host: string, port: number): string[] {
  if (host !== '0.0.0.0') return [`${host}:${port}`]
  const own = Object.values(networkInterfaces()).flat().filter((entry) => entry !== undefined && entry.family === 'IPv4')
  return own.sort((a, b) => Number(a?.internal) - Number(b?.internal)).map((entry) => `${entry?.address}:${port}`)
}
