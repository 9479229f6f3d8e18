// npm packages asked for by lanes: bundled once per specifier, name and version, kept as text. The request
// comes from a cell and is checked; what is answered is this node's own installed copy.

import { toErrorRecord, type ErrorRecord } from '../../../fabric/base.ts'
import { FUNCTIONS } from '../../errors.ts'
import type { PackageRequest } from '../bundle.ts'
import { errorText } from '../results.ts'

export interface PackageAnswer { readonly ok: boolean; readonly body: Uint8Array }

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const REQUEST_BYTES_MAX = 1_024

export class PackageStore {
  readonly #packagesMax: number
  readonly #bytesMax: number
  readonly #bundle: (request: PackageRequest) => Promise<string>
  readonly #packages = new Map<string, Promise<PackageAnswer>>()

  constructor(packagesMax: number, bytesMax: number, bundle: (request: PackageRequest) => Promise<string>) {
    this.#packagesMax = packagesMax
    this.#bytesMax = bytesMax
    this.#bundle = bundle
  }

  async answer(body: Uint8Array): Promise<PackageAnswer> {
    const request = parse(body)
    if (request === undefined) return refusal(FUNCTIONS.SANDBOX_LINK({ reason: 'a malformed package request' }))
    const key = JSON.stringify([request.specifier, request.name, request.version])
    const known = this.#packages.get(key)
    if (known !== undefined) return known
    const made = this.#make(request)
    this.#packages.set(key, made)
    const oldest = this.#packages.keys().next()
    if (this.#packages.size > this.#packagesMax && oldest.done !== true) this.#packages.delete(oldest.value)
    // A refusal is not kept: the package may be installed by the next time.
    if (!(await made).ok) this.#packages.delete(key)
    return made
  }

  async #make(request: PackageRequest): Promise<PackageAnswer> {
    try {
      const body = encoder.encode(await this.#bundle(request))
      if (body.byteLength > this.#bytesMax) throw FUNCTIONS.SANDBOX_PACKAGE_BROKEN({ name: request.name, version: request.version, reason: `its bundle takes ${body.byteLength} bytes, more than ${this.#bytesMax}` })
      return { ok: true, body }
    } catch (error) {
      return refusal(error)
    }
  }
}

function refusal(error: unknown): PackageAnswer {
  const { stack: _stack, cause: _cause, ...record } = toErrorRecord(error, FUNCTIONS.SANDBOX_LINK.code) satisfies ErrorRecord
  return { ok: false, body: errorText(record) }
}

function parse(body: Uint8Array): PackageRequest | undefined {
  if (body.byteLength > REQUEST_BYTES_MAX) return undefined
  try {
    const { specifier, name, version } = JSON.parse(decoder.decode(body)) as Record<string, unknown>
    if (typeof specifier !== 'string' || typeof name !== 'string' || typeof version !== 'string') return undefined
    return specifier === name || specifier.startsWith(`${name}/`) ? { specifier, name, version } : undefined
  } catch {
    return undefined
  }
}
