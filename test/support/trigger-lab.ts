// What triggers stand on, for their tests: a virtual clock, a store in memory, functions that are "deployed" by a call, and
// an invoker that notes what it was asked. No node, no sandbox.

import { seededRandom } from '../../fabric/base.ts'
import type { NodeId } from '../../fabric/base.ts'
import { createMemoryGlobalStore } from '../../fabric/mod.ts'
import { SimClock } from '../../fabric/sim-clock.ts'
import { startHolders } from '../../functions/mod.ts'
import type { CallAuthority, DeployedFunction, InvokeOutcome, InvokeRequest, NodeHolders, ResolvedFunction, TriggerRecord } from '../../functions/mod.ts'

export interface Deployment {
  readonly triggers?: readonly TriggerRecord[]
  readonly singleton?: boolean
  readonly paused?: boolean
  readonly version?: string
  readonly by?: string
  readonly target?: string
  readonly attempts?: number
}
export interface Asked {
  readonly how: 'invoke' | 'invokeAll' | 'runHere' | 'enqueue' | 'filter'
  readonly request: InvokeRequest
  readonly authority: CallAuthority
  readonly version?: string
  readonly epoch?: number
  readonly attempt?: number
  readonly atMs: number
  /** Ends the run, of those that are asked to last. */
  end(): void
}

export function createTriggerLab() {
  const clock = new SimClock()
  const store = createMemoryGlobalStore({ clock })
  const functions = new Map<string, DeployedFunction>()
  const listeners = new Set<(name: string) => void>()
  const counts: Record<string, number> = {}
  const lines: string[] = []
  const asked: Asked[] = []
  const answers: { lasting: boolean; enqueue: (() => void) | undefined; filter: (event: Record<string, unknown>) => InvokeOutcome } = { lasting: false, enqueue: undefined, filter: () => value() }
  const changed = (name: string): void => { for (const listener of [...listeners]) listener(name) }

  const note = (entry: Omit<Asked, 'atMs' | 'end'>): Promise<void> => new Promise((resolve) => {
    asked.push({ ...entry, atMs: clock.nowMs(), end: resolve })
    if (!answers.lasting) resolve()
    entry.authority.signal.addEventListener('abort', () => resolve(), { once: true })
  })
  const catalog = {
    list: () => [...functions.values()],
    get: (name: string) => functions.get(name),
    resolve(name: string): ResolvedFunction {
      const found = functions.get(name)
      if (found === undefined) throw new Error(`no function ${name}`)
      return { name, alias: 'stable', manifest: found.manifest, deployer: found.record.by }
    },
    onChange(listener: (name: string) => void) { listeners.add(listener); return () => { listeners.delete(listener) } },
  }
  const value = (): InvokeOutcome => ({ status: 'value', value: new Uint8Array([0x81, 0xf5]), call: {} as never })
  return {
    clock, store, catalog, counts, lines, asked, answers, value,
    random: seededRandom(1),
    log: { info() {}, warn: (text: string) => { lines.push(text) } },
    observer: { called() {}, line: ({ text }: { readonly text: string }) => { lines.push(text) }, count(name: string, what: string, by = 1) { counts[`${name} ${what}`] = (counts[`${name} ${what}`] ?? 0) + by } },
    deploy(name: string, { triggers = [], singleton = false, paused = false, version = 'v1', by = 'local:0', target = 'any', attempts = 3 }: Deployment): void {
      functions.set(name, {
        record: { name, paused, by } as DeployedFunction['record'],
        manifest: { name, version, triggers, singleton, target, limits: { timeoutMs: 60_000 }, retry: { attempts } } as unknown as DeployedFunction['manifest'],
        versions: new Map(),
      })
      changed(name)
    },
    remove(name: string): void { functions.delete(name); changed(name) },
    invoker: {
      invoke: async (request: InvokeRequest, authority: CallAuthority) => { await note({ how: 'invoke', request, authority }); return value() },
      invokeAll: async (request: InvokeRequest, authority: CallAuthority) => { await note({ how: 'invokeAll', request, authority }); return [value()] },
      enqueue: async (request: InvokeRequest, authority: CallAuthority) => { answers.enqueue?.(); await note({ how: 'enqueue', request, authority }); return 'id' },
      runHere: async (resolved: ResolvedFunction, request: InvokeRequest, authority: CallAuthority, extra: { readonly attempt: number; readonly epoch?: number }) => {
        await note({ how: 'runHere', request, authority, version: resolved.manifest.version, ...extra })
        return value()
      },
      filterHere: async (_resolved: ResolvedFunction, _trigger: number, request: InvokeRequest) => answers.filter((request.cause as { readonly event: Record<string, unknown> }).event),
    },
    holders(self: string, nodes: readonly string[] = [self], leaseMs = 5_000): NodeHolders {
      return startHolders({ store, clock, self: self as NodeId, nodes: () => nodes as NodeId[], log: { info() {}, warn() {} }, leaseMs })
    },
  }
}
export type TriggerLab = ReturnType<typeof createTriggerLab>
