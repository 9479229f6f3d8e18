// npm packages by reference, inside the isolate: the lane hands in the text of the node's own bundle before
// a program that names it is linked.

import { globalEval, JSONStringify, mapGet, mapSet } from './primordials.ts'

const packages = new Map<string, unknown>()

export const packageRequest = (specifier: string, name: string, version: string): string => JSONStringify([specifier, name, version]) as string

export const hasPackage = (request: string): boolean => mapGet(packages, request) !== undefined
export const packageNamespace = (specifier: string, name: string, version: string): unknown => mapGet(packages, packageRequest(specifier, name, version))

/** Evaluates a bundle (an expression giving the namespace) and keeps it under its request. */
export function addPackage(request: string, text: string, label: string): void {
  mapSet(packages, request, globalEval(`${text}\n//# sourceURL=kumoi:package/${label}`))
}
