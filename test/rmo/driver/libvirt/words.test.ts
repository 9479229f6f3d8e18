// libvirt's numbers in Kumoi's words: errors, events, states, guests on their way. Pure.

import { fc } from '../../../support/property.ts'
import t from 'tap'
import { domainState } from '../../../../rmo/driver/libvirt/domain-state.ts'
import { EVENTS, lifecycle } from '../../../../rmo/driver/libvirt/event-table.ts'
import { failureToError } from '../../../../rmo/driver/libvirt/failure.ts'
import { createIncoming } from '../../../../rmo/driver/libvirt/incoming.ts'

const about = { uri: 'test:///default', operation: 'domainStart', kind: 'VM', name: 'web', timeoutMs: 5 }
const code = (number: number, text = 'its words', more = {}): string => failureToError({ what: 'f', number, domain: 1, text, ...more }, about).code.replace('RMO_ERR_', '')

t.test('error numbers become codes', async (t) => {
  t.equal(code(42), 'GONE')
  t.match(failureToError({ what: 'f', number: 43, domain: 1, text: "Network not found: no network with matching name 'lan'" }, about), { code: 'RMO_ERR_GONE', details: { kind: 'Network', name: 'lan' } }, 'the network that a VM needs, not the VM')
  t.equal(code(55), 'STATE_INVALID')
  t.equal(code(9, "operation failed: domain 'web' already exists with uuid 6695eb01-f6a4-8304-79aa-97f2502e193f"), 'NAME_TAKEN')
  t.equal(code(38, 'cannot write: No space left on device'), 'NO_SPACE')
  t.equal(code(68), 'DRIVER_TIMEOUT')
  t.equal(code(87), 'IN_USE')
  t.equal(code(3), 'DRIVER_UNSUPPORTED')
  t.equal(code(38, 'broken pipe', { disconnected: true }), 'DRIVER_UNAVAILABLE')
  t.equal(code(1), 'DRIVER_FAILED')
})
t.test("every error carries libvirt's own number and text", async () => {
  fc.assert(fc.property(fc.nat(200), fc.string(), fc.boolean(), (number, text, disconnected) => {
    const { details } = failureToError({ what: 'f', number, domain: 7, text, disconnected }, about)
    return details['number'] === number && details['text'] === text
  }))
})
t.test('lifecycle events', async (t) => {
  t.strictSame(lifecycle(5, 5), { event: 'crashed', detail: 'failed' }, 'QEMU gone without a word')
  t.strictSame(lifecycle(5, 0), { event: 'stopped', detail: 'shutdown' })
  t.strictSame(lifecycle(5, 3), { event: 'migratedOut', detail: 'migrated' })
  t.strictSame(lifecycle(4, 1), { event: 'migratedIn', detail: 'migrated' })
  t.equal(lifecycle(99, 0), undefined, 'of a newer libvirt')
  fc.assert(fc.property(fc.integer(), fc.integer(), (event, detail) => { lifecycle(event, detail) }))
  t.match(EVENTS['balloon']?.make({ uuid: 'u', name: 'n' }, [1024n]), { event: 'balloon', value: 1024 * 1024 })
})
t.test('states', async (t) => {
  t.strictSame(domainState(5, 3, false), { state: 'crashed', reason: 'crashed' })
  t.strictSame(domainState(5, 1, true), { state: 'saved', reason: 'shutdown' })
  t.strictSame(domainState(1, 1, false), { state: 'running', reason: 'booted' })
})
t.test('a guest on its way here is no news until it has come', async (t) => {
  const event = (name: 'started' | 'migratedIn' | 'crashed' | 'suspended', detail = 'x') => ({ type: 'domain', uuid: 'u', name: 'n', event: name, detail } as const)
  const incoming = createIncoming()
  t.equal(incoming.see(event('started', 'migrated')), undefined)
  t.equal(incoming.see(event('crashed', 'failed')), undefined, 'it never came')
  t.match(incoming.see(event('crashed', 'failed')), { event: 'crashed' }, 'the next one is its own')
  incoming.see(event('started', 'migrated'))
  t.match(incoming.see(event('suspended', 'paused')), { event: 'migratedIn' }, 'it came paused')
  t.match(incoming.see(event('started', 'booted')), { event: 'started' })
})
