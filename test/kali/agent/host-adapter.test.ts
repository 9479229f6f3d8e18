// What the agent's orders to a host do that the host's own verbs do not.

import { test } from 'tap'
import { systemRandom } from '../../../fabric/mod.ts'
import { createSimClock } from '../../../fabric/sim-clock.ts'
import { createAgentHost } from '../../../kali/agent/host-adapter.ts'
import type { Host } from '../../../rmo/mod.ts'

test('a stop that waits for the VM\'s lock is called back at once', async (t) => {
  // As behind a user's start that holds the lock until this agent has armed the VM.
  const signals: AbortSignal[] = []
  const vm = { name: 'web', record: {}, stop: (_options: object, { signal }: { readonly signal: AbortSignal }) => { signals.push(signal); return new Promise<void>(() => {}) } }
  const host = createAgentHost({ host: { vms: { get: () => vm }, machineUuid: 'm1', self: '01' } as unknown as Host, name: 'host1', node: '01', clock: createSimClock(), random: systemRandom })
  const abort = new AbortController()
  const stopping = host.stop('v', 1_000, abort.signal)
  abort.abort()
  await t.rejects(stopping, { name: 'AbortError' })
  t.equal(signals[0]?.aborted, true, 'and does nothing when its turn comes')
  const late = host.stop('v', 1_000, abort.signal)
  await t.rejects(late, { name: 'AbortError' })
})
