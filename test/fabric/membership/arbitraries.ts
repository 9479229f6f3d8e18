// Generators of member records and messages for the membership tests.

import { fc } from '../../support/property.ts'
import { LIMITS } from '../../../fabric/base.ts'
import { ACCUSERS_MAX, byWeight } from '../../../fabric/membership/record.ts'
import type { Accuser, MemberRecord, Profile } from '../../../fabric/membership/record.ts'
import type { Message } from '../../../fabric/membership/messages.ts'

export const member = (over: Partial<MemberRecord> = {}): MemberRecord => ({
  id: 'ab'.repeat(32), incarnation: 1, state: 'alive',
  profile: { name: 'alpha', addresses: ['10.0.0.1:4000'], version: '0.1.0', startedAtMs: 1_800_000_000_000 },
  load: { cpuRatio: 0, queued: 0 }, loadNumber: 0, accusers: [], ageMs: 0, ...over,
})

const HEX = [...'0123456789abcdef']
export const nodeId = (): fc.Arbitrary<string> => fc.array(fc.constantFrom(...HEX), { minLength: 64, maxLength: 64 }).map((digits) => digits.join(''))

const load = fc.record({ cpuRatio: fc.integer({ min: 0, max: 1_000 }).map((units) => units / 1_000), queued: fc.nat(100_000) })

const accusersFrom = (id: fc.Arbitrary<string>): fc.Arbitrary<Accuser[]> => fc.uniqueArray(fc.record({ id, strong: fc.boolean() }), { maxLength: ACCUSERS_MAX, selector: (accuser) => accuser.id })
  .map((accusers) => accusers.sort(byWeight))

function record(id: fc.Arbitrary<string>, accuserId: fc.Arbitrary<string>, profile: fc.Arbitrary<Profile>, numberMax: number): fc.Arbitrary<MemberRecord> {
  return fc.record({
    id, incarnation: fc.nat(numberMax), state: fc.constantFrom('alive', 'suspect', 'dead', 'left'), profile, load,
    loadNumber: fc.nat(numberMax), accusers: accusersFrom(accuserId), ageMs: fc.nat(numberMax),
  }).map((made) => ({ ...made, accusers: made.state === 'suspect' ? made.accusers : [], ageMs: made.state === 'dead' || made.state === 'left' ? made.ageMs : 0 }))
}

/** Records of one and the same member with small numbers, so that they collide; age left out, it is no part of the join. */
export const claimsOfOneMember = (): fc.Arbitrary<MemberRecord> => record(
  fc.constant('ab'.repeat(32)), fc.constantFrom(...'abcdef').map((letter) => letter.repeat(64)),
  fc.constantFrom('one', 'two').map((name) => ({ name, addresses: [], version: '1', startedAtMs: 5 })), 3,
).map((made) => ({ ...made, ageMs: 0 }))

const text = (bytesMax: number): fc.Arbitrary<string> => fc.string({ unit: 'grapheme', maxLength: bytesMax >> 3 }).filter((made) => Buffer.byteLength(made) <= bytesMax && made.isWellFormed())

export const anyRecord = (): fc.Arbitrary<MemberRecord> => record(nodeId(), nodeId(), fc.record({
  name: text(LIMITS.memberNameBytesMax), version: text(LIMITS.memberNameBytesMax), startedAtMs: fc.maxSafeNat(),
  addresses: fc.array(text(LIMITS.memberAddressBytesMax), { maxLength: LIMITS.memberAddressesMax }),
}), 2 ** 31 - 1)

export function anyMessage(): fc.Arbitrary<Message> {
  const news = fc.array(anyRecord(), { maxLength: 4 })
  const seq = fc.maxSafeNat(), word = fc.nat(0xffff_ffff)
  const beat = fc.record({ incarnation: fc.nat(2 ** 31 - 1), loadNumber: fc.maxSafeNat(), load })
  return fc.oneof(
    fc.record({ type: fc.constantFrom('ping' as const, 'ack' as const), seq, hash: word, beat, news }),
    fc.record({ type: fc.constant('ask' as const), seq, target: nodeId() }),
    fc.record({ type: fc.constant('relay' as const), seq, answered: fc.boolean() }),
    fc.record({ type: fc.constant('news' as const), news }),
    fc.record({ type: fc.constant('digest' as const), buckets: fc.array(word, { maxLength: LIMITS.digestBuckets }), news }),
    fc.record({ type: fc.constant('state' as const), wanted: fc.array(fc.nat(LIMITS.digestBuckets - 1), { maxLength: LIMITS.digestBuckets }), news }),
  )
}
