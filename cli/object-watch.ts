// Changes of all objects of a kind, as the shell tells them: what is there first, then every change.
//
// VMs come from the events of every VMM (each machine's own, at once); what has no such events is listed again every
// LIMITS.objectPollMs and compared. Machines that join later are watched too.

import { LIMITS } from '../fabric/base.ts'
import type { Clock } from '../fabric/base.ts'
import type { DataCenter } from '../kali/contract.ts'
import type { VMM } from '../rmo/mod.ts'
import type { Named } from './objects.ts'

export interface ObjectChange {
  readonly kind: string
  readonly name: string
  readonly uuid: string
  readonly host: string
  /** 'present' at the start; then 'added', 'changed', 'removed', or the object's own word ("started", "crashed"). */
  readonly event: string
  readonly state?: string
  readonly atMs: number
}
interface Options { readonly host: string | undefined; readonly clock: Clock; readonly signal: AbortSignal }

const field = (object: Named, name: string): string => String((object as unknown as Readonly<Record<string, unknown>>)[name] ?? '')

/** Ends when the signal does. */
export async function* watchObjects(dc: DataCenter, kind: string, { host, clock, signal }: Options): AsyncGenerator<ObjectChange> {
  const queue: ObjectChange[] = []
  let wake = (): void => {}
  const push = (change: ObjectChange): void => {
    if (host !== undefined && change.host !== host) return
    queue.push(change)
    wake()
  }
  signal.addEventListener('abort', () => wake(), { once: true })
  const seen = new Map<string, { readonly object: Named; readonly text: string }>()
  const changeOf = (object: Named, event: string): ObjectChange => {
    const state = field(object, 'state')
    return { kind, name: object.name, uuid: object.uuid, host: field(object, 'host'), event, ...(state === '' ? {} : { state }), atMs: Math.round(clock.wallMs()) }
  }
  const signature = (object: Named): string => kind === 'VM' ? '' : JSON.stringify(object, (_key, value: unknown) => typeof value === 'bigint' ? String(value) : value)

  /** Compares with what was there; `first`: says that it is there. */
  const list = async (first: boolean): Promise<void> => {
    const { objects, failures } = await dc.list(kind)
    const now = new Set<string>()
    for (const object of objects as readonly Named[]) {
      now.add(object.uuid)
      const known = seen.get(object.uuid), text = signature(object)
      seen.set(object.uuid, { object, text })
      if (known === undefined) push(changeOf(object, first ? 'present' : 'added'))
      else if (known.text !== text) push(changeOf(object, 'changed'))
    }
    // A machine that did not answer may still have them.
    if (failures.length > 0) return
    for (const [uuid, { object }] of seen) if (!now.has(uuid)) { seen.delete(uuid); push(changeOf(object, 'removed')) }
  }

  const watched = new Set<string>()
  const follow = async (vmm: VMM): Promise<void> => {
    watched.add(vmm.uuid)
    const watch = vmm.watch()
    signal.addEventListener('abort', () => watch.unwatch(), { once: true })
    try {
      for await (const event of watch) {
        if (event.type === 'vm') push({ kind, name: event.name, uuid: event.uuid, host: vmm.name, event: event.event, state: event.state, atMs: event.atMs })
        if (event.type === 'vmRemoved') { seen.delete(event.uuid); push({ kind, name: event.name, uuid: event.uuid, host: vmm.name, event: 'removed', atMs: event.atMs }) }
        if (event.type === 'vmAdded') {
          const object = { name: event.name, uuid: event.uuid, host: vmm.name }
          if (!seen.has(event.uuid)) push(changeOf(object, 'added'))
          seen.set(event.uuid, { object, text: '' })
        }
      }
    } catch { /* a machine that went away; the next listing says what is left */ } finally { watched.delete(vmm.uuid) }
  }
  const followAll = async (): Promise<void> => {
    const { objects } = await dc.list('VMM')
    for (const vmm of objects as readonly VMM[]) if (!watched.has(vmm.uuid)) void follow(vmm)
  }

  if (kind === 'VM') await followAll()
  await list(true)
  let timer = clock.after(LIMITS.objectPollMs, again)
  function again(): void {
    const work = kind === 'VM' ? followAll().then(() => list(false)) : list(false)
    work.catch(() => {}).finally(() => { if (!signal.aborted) timer = clock.after(LIMITS.objectPollMs, again) })
  }
  try {
    while (!signal.aborted) {
      const next = queue.shift()
      if (next !== undefined) yield next
      else await new Promise<void>((resolve) => { wake = resolve })
    }
  } finally { timer.cancel() }
}
