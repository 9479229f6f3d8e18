// A sandbox for tests and benches: jobs made by hand from the text of a function, answers decoded.

import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HostCall, Job, JobHooks, JobResult, KindShape, Outcome, RunLimits, Sandbox, Stage, StageVerb, Terminal } from '../../functions/contract.ts'
import { createSandbox, type SandboxOptions } from '../../functions/sandbox/sandbox.ts'
import { decodeValue, encodeArray, encodeValue } from '../../functions/value/mod.ts'

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')
const EMPTY_HASH = sha256('')

export const defaultLimits: RunLimits = {
  timeoutMs: 10_000, heapLimitMiB: 64, cpuTimeMs: 10_000, resultBytes: 16 * 1024 * 1024, hostCalls: 1_000, concurrency: 32, fresh: false,
}

export const machineShape: KindShape = {
  kind: 'PhysicalMachine', attributes: ['cores'], verbs: ['exec', 'slow'], collections: { vms: 'VM' },
}
export const vmShape: KindShape = { kind: 'VM', attributes: ['cpuRatio'], verbs: ['stop'], collections: {} }

export interface MadeJob { readonly source: string; readonly items?: readonly unknown[]; readonly range?: { readonly count: number; readonly start: number; readonly step: number } }
export interface JobSettings {
  readonly principal?: string
  readonly verb?: StageVerb
  readonly stages?: readonly { readonly verb: StageVerb; readonly source: string }[]
  readonly terminal?: Terminal['verb']
  readonly operator?: string
  readonly initial?: unknown
  readonly limits?: Partial<RunLimits>
  readonly baseIndex?: number
  readonly onBlob?: (hash: string) => void
}

/** Program text of the kind that capture makes, for a function that captures nothing. */
export const programOf = (source: string): string => `(environment, runtime) => (${source})`

export function makeJob({ source, items, range }: MadeJob, settings: JobSettings = {}): Job {
  const blobs = new Map<string, Uint8Array>([[EMPTY_HASH, new Uint8Array(0)]])
  const add = (text: string): string => {
    const bytes = new TextEncoder().encode(programOf(text))
    const hash = sha256(bytes)
    blobs.set(hash, bytes)
    return hash
  }
  const stages: Stage[] = (settings.stages ?? [{ verb: settings.verb ?? 'map', source }])
    .map((stage) => ({ verb: stage.verb, code: add(stage.source), environment: EMPTY_HASH, name: 'shipped' }))
  const verb = settings.terminal ?? 'collect'
  const ref = { code: settings.operator === undefined ? '' : add(settings.operator), environment: EMPTY_HASH, name: 'operator' }
  const terminal = (verb === 'fold' ? { verb, ...ref, initial: encodeValue(settings.initial) }
    : verb === 'reduce' || verb === 'group' || verb === 'some' || verb === 'every' || verb === 'find' ? { verb, ...ref } : { verb }) as Terminal
  const list = items ?? [1]
  return {
    principal: settings.principal ?? 'test', trace: '0'.repeat(16), stages, terminal, baseIndex: settings.baseIndex ?? 0,
    input: range === undefined ? { type: 'items', count: list.length, bytes: encodeArray(list) } : { type: 'range', ...range },
    limits: { ...defaultLimits, ...settings.limits },
    blob(hash) {
      settings.onBlob?.(hash)
      const bytes = blobs.get(hash)
      if (bytes === undefined) throw new Error(`No blob ${hash}`)
      return bytes
    },
  }
}

/** Hooks that answer every call by `respond`, decoded and encoded. */
export function makeHooks(respond: (call: HostCall, args: readonly unknown[]) => unknown = () => 'answered', lines: string[] = []): JobHooks {
  return {
    hostCall: async (call) => encodeValue(await respond(call, decodeValue(call.args, { profile: 'args' }) as unknown[])),
    console: ({ level, text }) => { lines.push(`${level}: ${text}`) },
  }
}

export interface Seen { readonly status: Outcome<unknown>['status']; readonly index: number; readonly value?: unknown; readonly code?: string; readonly message?: string }

/** Element by element what came back; a folded partial is given to its first element. */
export function outcomes(result: JobResult): Seen[] {
  const seen: Seen[] = []
  for (const run of result.runs) {
    if ('failure' in run) {
      for (let i = 0; i < run.count; i++) seen.push({ status: run.failure.status, index: run.from + i, code: run.failure.error.code, message: run.failure.error.message })
      continue
    }
    const values = decodeValue(run.values) as unknown[]
    if (values.length !== run.outputs) throw new Error(`${run.outputs} outputs announced, ${values.length} sent`)
    values.forEach((value, i) => seen.push({ status: 'value', index: run.from + i, value }))
  }
  return seen
}

export const valuesOf = (result: JobResult): unknown[] => outcomes(result).map(({ status, value, message }) => (status === 'value' ? value : `${status}: ${message}`))

export interface TestSandbox { readonly sandbox: Sandbox; close(): Promise<void> }

export async function openSandbox(options: Partial<SandboxOptions> = {}): Promise<TestSandbox> {
  const cacheDirectory = mkdtempSync(join(tmpdir(), 'kumoi-sandbox-'))
  const sandbox = await createSandbox({ cacheDirectory, shapes: [machineShape, vmShape], packageDirectories: [import.meta.dirname], ...options })
  return {
    sandbox,
    async close() {
      await sandbox.close()
      rmSync(cacheDirectory, { recursive: true, force: true })
    },
  }
}

export const never = new AbortController().signal
