// Settings of protections, as users give them and as the store keeps them (Protection). Pure.

import { integer, namedUuid, oneOf, optional, record } from '../../rmo/base.ts'

const TRIES_MAX = 1_000
const PRIORITY_MAX = 1_000
const tries = integer({ unit: 'count', max: TRIES_MAX })

/** Every setting of a protection with its type. */
export const PROTECTION_FIELDS = {
  restarts: tries, relocations: tries, windowMs: integer({ unit: 'milliseconds', min: 1_000 }),
  onGuestShutdown: oneOf('leave', 'restart'), priority: integer({ unit: 'count', min: -PRIORITY_MAX, max: PRIORITY_MAX }),
} as const

/** What createHighAvailability() takes. */
export const newProtection = record({
  restarts: optional(tries), relocations: optional(tries), windowMs: optional(PROTECTION_FIELDS.windowMs),
  onGuestShutdown: optional(PROTECTION_FIELDS.onGuestShutdown), priority: optional(PROTECTION_FIELDS.priority),
})

/** A VM has at most one protection, which is named after it. */
export const protectionUuidOf = (vm: string): string => namedUuid(vm, 'high-availability')
