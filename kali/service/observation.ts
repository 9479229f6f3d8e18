// What machines say of themselves and of their VMs, as of at most a second ago.
//
//   snapshot(), protect(), ... --read()--> one round of questions at a time, shared by all who ask meanwhile
//
// Who has not answered within LIMITS.cloudObserveAnswerMs has no figures in that round: a machine that does not answer is a
// machine without figures, never one that is not there. Kinds that seldom change (images, storage, bridges) are asked less
// often; `fresh` asks now.

import { LIMITS, errorCode } from '../../fabric/base.ts'
import type { Clock, NodeId } from '../../fabric/base.ts'
import type { Log } from '../../fabric/mod.ts'
import type { ReferenceRecord } from '../../functions/mod.ts'
import type { CloudServiceOptions, Observed, ObservedKind } from './options.ts'

export interface Observation {
  /** By home. A node that did not answer for a kind has no entry, one that has nothing has an empty list. */
  readonly of: (kind: ObservedKind, node: NodeId) => readonly ReferenceRecord[] | undefined
  /** Of any home, by uuid: the newest reference to a VM. */
  readonly vm: (uuid: string) => readonly ReferenceRecord[]
}
export interface Observer { read(options?: { readonly fresh?: boolean }): Promise<Observation> }

const QUICK: readonly ObservedKind[] = ['PhysicalMachine', 'VMM', 'VM']
const SLOW: readonly ObservedKind[] = ['Image', 'StoragePool', 'Switch', 'Network']

type ByNode = ReadonlyMap<NodeId, readonly ReferenceRecord[]>

/** Groups by home; who answered and has nothing of the kind is told apart from who did not answer. */
function byNode({ references, failures }: Observed, nodes: readonly NodeId[]): ByNode {
  const silent = new Set(failures.map(({ node }) => node))
  const found = new Map<NodeId, ReferenceRecord[]>(nodes.filter((node) => !silent.has(node)).map((node) => [node, []]))
  for (const reference of references) {
    const list = found.get(reference.home)
    if (list === undefined) found.set(reference.home, [reference])
    else list.push(reference)
  }
  return found
}

/** Asks for one kind at most each `ageMs`; concurrent askers share a round. */
class Kept {
  readonly #ask: () => Promise<ByNode>
  readonly #clock: Clock
  readonly #ageMs: number
  #askedAtMs = -Infinity
  #current: Promise<ByNode> | undefined
  #underWay = false

  constructor(clock: Clock, ageMs: number, ask: () => Promise<ByNode>) {
    this.#clock = clock
    this.#ageMs = ageMs
    this.#ask = ask
  }

  read(fresh: boolean): Promise<ByNode> {
    const nowMs = this.#clock.nowMs()
    if (this.#current === undefined || fresh || (!this.#underWay && nowMs - this.#askedAtMs >= this.#ageMs)) {
      this.#askedAtMs = nowMs
      this.#underWay = true
      const round = this.#ask().finally(() => { if (this.#current === round) this.#underWay = false })
      this.#current = round
    }
    return this.#current
  }
}

export function createObserver({ observe, members, clock, log }: Pick<CloudServiceOptions, 'observe' | 'members' | 'clock'> & { readonly log: Log }): Observer {
  const ask = async (kind: ObservedKind): Promise<ByNode> => {
    const ended = new AbortController()
    const timer = clock.after(LIMITS.cloudObserveTimeoutMs, () => ended.abort(), { background: true })
    const given = new Promise<undefined>((resolve) => { ended.signal.addEventListener('abort', () => resolve(undefined), { once: true }) })
    try {
      const answer = await Promise.race([observe(kind, ended.signal, LIMITS.cloudObserveAnswerMs), given])
      return answer === undefined ? new Map() : byNode(answer, members().filter(({ state }) => state === 'alive' || state === 'suspect').map(({ id }) => id))
    } catch (error) {
      log.warn('machines could not be observed', { kind, code: errorCode(error) ?? String(error) })
      return new Map()
    } finally {
      timer.cancel()
    }
  }
  const kept = new Map<ObservedKind, Kept>([
    ...QUICK.map((kind) => [kind, new Kept(clock, LIMITS.cloudObserveMs, () => ask(kind))] as const),
    ...SLOW.map((kind) => [kind, new Kept(clock, LIMITS.cloudObserveSlowMs, () => ask(kind))] as const),
  ])
  return {
    async read({ fresh = false } = {}) {
      const found = new Map(await Promise.all([...kept].map(async ([kind, each]) => [kind, await each.read(fresh)] as const)))
      let vms: Map<string, ReferenceRecord[]> | undefined
      return {
        of: (kind, node) => found.get(kind)?.get(node),
        vm(uuid) {
          if (vms === undefined) {
            vms = new Map()
            for (const list of found.get('VM')?.values() ?? []) for (const each of list) vms.set(each.uuid, [...vms.get(each.uuid) ?? [], each])
          }
          return vms.get(uuid) ?? []
        },
      }
    },
  }
}
