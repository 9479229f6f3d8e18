// One step, carried out: on the hypervisor, in the book, at the lease. What it changes in the intent is one
// compare-and-swap that holds only while the intent still names this machine in this epoch.

import { LIMITS } from '../../fabric/base.ts'
import type { Clock } from '../../fabric/base.ts'
import type { DecisionRecord, IntentRecord, Stored } from '../cloud/contract.ts'
import type { AgentDomain, AgentHost, CloudBook, HostLease } from '../cloud/parts.ts'
import { withRestart } from './agent-core.ts'
import { AGENT, GUEST } from './steps.ts'
import type { Armed, Step } from './steps.ts'

export interface Hands {
  readonly host: AgentHost
  readonly book: Pick<CloudBook, 'change' | 'forget' | 'decided'>
  readonly lease: Pick<HostLease, 'arm' | 'disarm'>
  readonly clock: Clock
  newId(): string
}

/** What a step is about. */
export interface Subject { readonly vm: string; readonly name: string; readonly intent: Stored<IntentRecord> | undefined; readonly domain: AgentDomain | undefined }

/** What is known after it. */
export interface Done {
  readonly heard?: boolean
  /** As it was written, or as it was found. */
  readonly intent?: Stored<IntentRecord>
  /** Present: what the lease guards from now on; null: no more. */
  readonly armed?: Armed | null
}

type Deciding = Pick<IntentRecord, 'decision' | 'decidedBy' | 'decidedAtMs' | 'reason'>

/** What another machine needs to define it again: without what belongs to this host. */
function kept({ autostart: _, ...settings }: AgentDomain['settings']): AgentDomain['settings'] { return settings }

export async function carryOut(step: Step, { vm, name, intent, domain }: Subject, hands: Hands, signal: AbortSignal): Promise<Done> {
  const { host, book, lease, clock } = hands
  const wallMs = (): number => Math.round(clock.wallMs())
  /** The intent, for a step that needs one: the core asks for none of these without. */
  const wanted = (): Stored<IntentRecord> => {
    if (intent === undefined) throw new Error(`no intent of VM ${vm}`)
    return intent
  }
  const change = async (next: (present: Stored<IntentRecord>) => Partial<IntentRecord> | undefined, mayBeElsewhere = false): Promise<{ readonly written: boolean } & Done> => {
    const { epoch, machine } = wanted()
    let found: Stored<IntentRecord> | undefined
    const written = await book.change(vm, (present) => {
      found = present
      if (present.epoch !== epoch || (present.machine?.uuid !== host.machine.uuid && !(mayBeElsewhere && present.machine?.uuid === machine?.uuid))) return undefined
      const part = next(present)
      if (part === undefined) return undefined
      const { revision: _, ...record } = present
      return { ...record, ...part }
    }, { signal })
    const known = written ?? found
    return { written: written !== undefined, ...known === undefined ? {} : { intent: known } }
  }
  const deciding = (by: string, reason: string): Deciding => ({ decision: hands.newId(), decidedBy: by, decidedAtMs: wallMs(), reason })
  /** For people (`why`): after it was done, and never in its way. */
  const journal = ({ decision, decidedAtMs, reason }: Deciding, action: DecisionRecord['action'], outcome: DecisionRecord['outcome'] = 'done'): void => {
    void book.decided({ id: decision, pool: wanted().pool, policy: 'agent', atMs: decidedAtMs, about: [vm], action, reason, outcome, details: { machine: host.machine.name, epoch: wanted().epoch } }).catch(() => {})
  }
  const decide = async (what: Deciding, action: DecisionRecord['action'], next: (present: Stored<IntentRecord>) => Partial<IntentRecord> | undefined, how: { readonly elsewhere?: boolean; readonly outcome?: DecisionRecord['outcome'] } = {}): Promise<Done> => {
    const { written, ...done } = await change((present) => {
      const part = next(present)
      return part === undefined ? undefined : { ...part, ...what }
    }, how.elsewhere)
    if (written) journal(what, action, how.outcome)
    return done
  }

  switch (step.do) {
    case 'rest': return {}
    case 'create': await host.create(wanted(), signal); return {}
    case 'restore': await host.restore(wanted(), signal); return {}
    case 'stamp': await host.stamp(vm, step.epoch, signal); return {}
    case 'start': await host.start(vm, signal); return {}
    case 'stop': await host.stop(vm, step.patienceMs, signal); return {}
    case 'destroy': await host.destroy(vm, signal); return {}
    case 'remove': await host.remove(vm, { keepDisks: step.keepDisks }, signal); return {}
    case 'listen': return { heard: (await host.serial(vm, signal)).includes(step.text) }
    case 'arm': {
      const pid = step.pid === undefined ? {} : { pid: step.pid }
      await lease.arm({ uuid: vm, name, ...pid })
      return { armed: pid }
    }
    case 'disarm': await lease.disarm(vm); return { armed: null }
    case 'confirm': return change(({ protection }) => protection === undefined ? undefined : { protection: { ...protection, armed: true } })
    case 'count': {
      const { epoch } = wanted()
      return decide(deciding(AGENT, `it ended (${domain?.reason ?? 'unknown'}); started again on ${host.machine.name}`), 'retry', (present) => {
        const tries = withRestart(present, epoch, wallMs())
        return tries === undefined ? undefined : { tries }
      })
    }
    case 'leave': return decide(deciding(GUEST, 'its guest shut itself down'), 'none', ({ desired }) => desired === 'running' ? { desired: 'stopped', booked: false } : undefined)
    case 'give-up': return decide(deciding(AGENT, step.error), 'give-up', () => ({ error: step.error }))
    case 'keep-settings': return change(() => domain === undefined ? undefined : { settings: kept(domain.settings) })
    case 'reset-tries': return change(() => ({ tries: { restarts: 0, relocations: 0, sinceMs: wallMs() } }))
    case 'forget': {
      const { epoch } = wanted()
      await book.forget(vm, (present) => present.desired === 'absent' && present.machine?.uuid === host.machine.uuid && present.epoch === epoch)
      return {}
    }
    case 'migrate': {
      const { epoch } = wanted()
      try {
        await host.migrate(vm, step.to, signal)
        return {}
      } catch (error) {
        // Where it is, is not known: nobody may act on it. Else it is here, and the intent is told so.
        if (signal.aborted || host.unsettled(vm)) throw error
        const reason = `it could not be moved to ${step.to.name}: ${error instanceof Error ? error.message : String(error)}`.slice(0, LIMITS.agentReasonCharsMax)
        return decide(deciding(AGENT, reason), 'migrate', ({ protection }) => ({
          machine: host.machine, epoch: epoch + 1, origin: 'present', ...protection === undefined ? {} : { protection: { ...protection, armed: false } },
        }), { elsewhere: true, outcome: 'refused' })
      }
    }
  }
}
