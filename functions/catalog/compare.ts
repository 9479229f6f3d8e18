// What a deploy changes, for people: two manifests side by side, one line a field that differs. Pure.

import { formatDuration } from '../bundle/durations.ts'
import type { ManifestChange } from '../deployed-api.ts'
import type { FunctionManifest, TriggerRecord } from '../deployed.ts'

/** "every 5s", "cron 0 3 * * * (UTC)", "VM events started, stopped where ...", "topic hot", "http (open)". */
export function triggerText(trigger: TriggerRecord): string {
  switch (trigger.type) {
    case 'every': return `every ${formatDuration(trigger.everyMs)}`
    case 'cron': return `cron ${trigger.pattern} (${trigger.timezone})`
    case 'event': {
      const where = Object.entries(trigger.where).map(([field, value]) => `${field}=${value}`)
      return [`${trigger.kind} events`, trigger.events.length === 0 ? '' : trigger.events.join(', '), where.length === 0 ? '' : `where ${where.join(', ')}`, trigger.filtered ? 'filtered' : ''].filter(Boolean).join(' ')
    }
    case 'topic': return `topic ${trigger.topic}`
    case 'http': return trigger.open ? 'http (open)' : 'http'
  }
}

const joined = (items: readonly string[]): string => (items.length === 0 ? 'none' : items.join(', '))

/** Fields in the order in which they are shown. The version and what follows from it (bytes, the map) are told apart from the rest. */
const FIELDS: readonly (readonly [path: string, of: (manifest: FunctionManifest) => string])[] = [
  ['version', ({ version }) => version.slice(0, 12)],
  ['bytes', ({ bytes }) => String(bytes)],
  ['description', ({ description }) => description || 'none'],
  ['triggers', ({ triggers }) => joined(triggers.map(triggerText))],
  ['rights', ({ rights }) => joined(rights)],
  ['secrets', ({ secrets }) => joined(secrets)],
  ['singleton', ({ singleton }) => (singleton ? 'yes' : 'no')],
  ['target', ({ target }) => target],
  ['limits.timeout', ({ limits }) => formatDuration(limits.timeoutMs)],
  ['limits.heapMiB', ({ limits }) => String(limits.heapLimitMiB)],
  ['limits.cpuTime', ({ limits }) => formatDuration(limits.cpuTimeMs)],
  ['limits.concurrency', ({ limits }) => String(limits.concurrency)],
  ['limits.queue', ({ limits }) => String(limits.queue)],
  ['retry.attempts', ({ retry }) => String(retry.attempts)],
  ['retry.backoff', ({ retry }) => formatDuration(retry.backoffMs)],
  ['packages', ({ packages }) => joined(packages.map(({ name, version }) => `${name}@${version}`))],
  ['files', ({ files }) => joined(files)],
]

/** `before` undefined: nothing was there to differ from. */
export function compareManifests(before: FunctionManifest | undefined, after: FunctionManifest): readonly ManifestChange[] {
  if (before === undefined) return []
  return FIELDS.map(([path, of]) => ({ path, before: of(before), after: of(after) })).filter((change) => change.before !== change.after)
}
