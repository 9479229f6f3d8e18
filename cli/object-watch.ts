// Changes of all objects of a kind, as the shell tells them: what is there first, then every change.
//
// VMs come from the events of every VMM (each machine's own, at once); what has no such events is listed again every
// LIMITS.objectPollMs and compared. Machines that join later are watched too. A VM that moves is told as 'migrated' by
// the machine it left and as 'added' by the one it came to, in whatever order the two say so.

import { LIMITS } from '../fabric/base.ts'
import type { Clock } from '../fabric/base.ts'
import type { DataCenter } from '../kali/contract.ts'
import type { VMM, VmmEvent } from '../rmo/mod.ts'
import { attributeOf, awayMembers, hostOf } from './objects.ts'
import type { Named } from './objects.ts'
import { toJson } from './render/json.ts'
import { referenceOf } from './render/shapes.ts'

export interface ObjectChange {
  readonly kind: string
  readonly name: string
  readonly uuid: string
  /** Machine; "" for kinds that do not say. */
  readonly host: string
  /**
   * 'present' at the start; then 'added', 'changed', 'removed', or the object's own word ("started", "crashed"); 'unreachable' and
   * 'reachable': the machine it is on died or left, and came back; 'lost': changes came faster than they were read.
   */
  readonly event: string
  readonly state?: string
  readonly atMs: number
}
interface Options { readonly host: string | undefined; readonly clock: Clock; readonly signal: AbortSignal }

/** `home`: node that has it. */
interface Seen { readonly name: string; readonly host: string; readonly home: string | undefined; readonly text: string }

/** Ends when the signal does. */
export async function* watchObjects(dc: DataCenter, kind: string, { host, clock, signal }: Options): AsyncGenerator<ObjectChange> {
  const queue: ObjectChange[] = []
  let wake = (): void => {}
  const now = (): number => Math.round(clock.wallMs())
  const push = (change: Omit<ObjectChange, 'kind' | 'atMs'> & { readonly atMs?: number }): void => {
    if (host !== undefined && change.host !== host) return
    const { name, uuid, host: on, event, state, atMs } = change
    const whole: ObjectChange = { kind, name, uuid, host: on, event, ...(state === undefined ? {} : { state }), atMs: Math.round(atMs ?? now()) }
    if (queue.length < LIMITS.watchedChangesMax) queue.push(whole)
    else queue[queue.length - 1] = { kind, name: '', uuid: '', host: '', event: 'lost', atMs: whole.atMs }
    wake()
  }
  signal.addEventListener('abort', () => wake(), { once: true })

  const seen = new Map<string, Seen>()
  /** On machines that cannot be asked: what became of these nobody knows. */
  const unreachable = new Set<string>()
  /** VMs said to have gone to another machine: their removal from this one is no news. */
  const leaving = new Map<string, string>()
  /** What a listing can tell has changed; a VM's own events tell it better. */
  const signature = (object: Named): string => (kind === 'VM' ? '' : toJson(object))

  /** Compares with what was there; `first`: says that it is there. */
  const list = async (first: boolean): Promise<void> => {
    const { objects, failures } = await dc.list(kind)
    const there = new Set<string>()
    for (const object of objects as readonly Named[]) {
      const { name, uuid } = object
      there.add(uuid)
      const known = seen.get(uuid), on = hostOf(object), state = attributeOf(object, 'state')
      const told = { name, uuid, host: on, ...(state === undefined ? {} : { state: String(state) }) }
      seen.set(uuid, { name, host: on, home: referenceOf(object)?.home, text: signature(object) })
      if (unreachable.delete(uuid)) push({ ...told, event: 'reachable' })
      else if (known === undefined) push({ ...told, event: first ? 'present' : 'added' })
      else if (known.text !== signature(object)) push({ ...told, event: 'changed' })
    }
    // A machine that did not answer may still have them.
    if (failures.length > 0) return
    const missing = [...seen].filter(([uuid]) => !there.has(uuid))
    if (missing.length === 0) return
    const away = new Set<string>((await awayMembers(dc)).map(({ id }) => id))
    for (const [uuid, { name, host: on, home }] of missing) {
      const gone = home === undefined || !away.has(home)
      if (!gone && unreachable.has(uuid)) continue
      if (gone) { seen.delete(uuid); unreachable.delete(uuid) } else unreachable.add(uuid)
      push({ name, uuid, host: on, event: gone ? 'removed' : 'unreachable' })
    }
  }

  const onEvent = ({ name: vmm, home }: { readonly name: string; readonly home: string | undefined }, event: VmmEvent): void => {
    if (event.type !== 'vm' && event.type !== 'vmAdded' && event.type !== 'vmRemoved') return
    const { uuid, name, atMs } = event
    const told = { name, uuid, host: vmm, atMs }
    if (event.type === 'vm') {
      if (event.event === 'migrated') leaving.set(uuid, vmm)
      // 'vmAdded' and 'vmRemoved' say these two.
      if (event.event !== 'defined' && event.event !== 'gone') push({ ...told, event: event.event, ...(event.state === 'gone' ? {} : { state: event.state }) })
    } else if (event.type === 'vmAdded') {
      if (unreachable.delete(uuid)) push({ ...told, event: 'reachable' })
      else if (seen.get(uuid)?.host !== vmm) push({ ...told, event: 'added' })
      seen.set(uuid, { name, host: vmm, home, text: '' })
    } else {
      const left = leaving.get(uuid) === vmm
      leaving.delete(uuid)
      if (seen.get(uuid)?.host === vmm) seen.delete(uuid)
      if (!left) push({ ...told, event: 'removed' })
    }
  }
  const watched = new Set<string>()
  const follow = async (vmm: VMM): Promise<void> => {
    watched.add(vmm.uuid)
    const watch = vmm.watch()
    const stop = (): void => watch.unwatch()
    signal.addEventListener('abort', stop, { once: true })
    try {
      for await (const event of watch) onEvent({ name: vmm.name, home: referenceOf(vmm)?.home }, event)
    } catch { /* a machine that went away; the next listing says what is left */ } finally {
      signal.removeEventListener('abort', stop)
      watched.delete(vmm.uuid)
    }
  }
  const followAll = async (): Promise<void> => {
    const { objects } = await dc.list('VMM')
    for (const vmm of objects as readonly VMM[]) if (!watched.has(vmm.uuid)) void follow(vmm)
  }

  if (kind === 'VM') await followAll()
  await list(true)
  const again = (): void => {
    const work = kind === 'VM' ? followAll().then(() => list(false)) : list(false)
    work.catch(() => {}).finally(() => { if (!signal.aborted) timer = clock.after(LIMITS.objectPollMs, again) })
  }
  let timer = clock.after(LIMITS.objectPollMs, again)
  try {
    while (!signal.aborted) {
      const next = queue.shift()
      if (next !== undefined) yield next
      else await new Promise<void>((resolve) => { wake = resolve })
    }
  } finally { timer.cancel() }
}
