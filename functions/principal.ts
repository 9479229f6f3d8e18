// Principals of running functions: "fn:NAME@VERSION[#EPOCH]/DEPLOYER". The text travels with every call they make, so that
// the gate at an object's home knows the rights (by name and version) and the fencing epoch without any further field.
// Members believe each other's word on principals; a local socket can only claim its own (fabric/rpc/server.ts).

import type { Hash } from '../fabric/base.ts'

export interface FunctionPrincipal { readonly name: string; /** First 12 hex of the version. */ readonly version: string; readonly epoch: number | undefined; readonly deployer: string }

const FUNCTION = /^fn:([a-z0-9][a-z0-9-]{0,62})@([0-9a-f]{12})(?:#(\d{1,15}))?\/(.+)$/

export const VERSION_SHORT = 12

export function functionPrincipal({ name, version, epoch, deployer }: { readonly name: string; readonly version: Hash; readonly epoch?: number | undefined; readonly deployer: string }): string {
  return `fn:${name}@${version.slice(0, VERSION_SHORT)}${epoch === undefined ? '' : `#${epoch}`}/${deployer}`
}

export function parseFunctionPrincipal(text: string): FunctionPrincipal | undefined {
  const match = FUNCTION.exec(text)
  if (match === null) return undefined
  const [, name = '', version = '', epoch, deployer = ''] = match
  return { name, version, epoch: epoch === undefined ? undefined : Number(epoch), deployer }
}

/** Whose cell runs its code: all functions of one deployer share one, apart from what he runs by hand. */
export function cellPrincipal(principal: string): string {
  const parsed = parseFunctionPrincipal(principal)
  return parsed === undefined ? principal : `fn/${parsed.deployer}`
}
