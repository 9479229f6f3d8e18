// A table of prices, and what usage costs by it. Pure; light, since shells load it.
//
// Invariants: a price is zero or more a unit and hour (or call); one that the table does not name is zero; costs are plain
// numbers of the table's currency, rounded by whoever prints them.

import type { Usage } from '../rmo/mod.ts'
import { KALI } from './errors.ts'

export interface Prices {
  /** A word for what the numbers are of, such as "EUR". */
  readonly currency: string
  readonly vcpuHour: number
  readonly memoryGiBHour: number
  readonly storageGiBHour: number
  readonly functionCpuHour: number
  readonly callsMillion: number
}

const UNITS = ['vcpuHour', 'memoryGiBHour', 'storageGiBHour', 'functionCpuHour', 'callsMillion'] as const
const CURRENCY = /^[\p{L}\p{Sc}]{1,8}$/u
const PRICE_MAX = 1e9
const HOUR_MS = 3_600_000
const HOUR_US = 3_600_000_000
const MIB_PER_GIB = 1_024

/** Throws KALI_ERR_PRICES_INVALID. */
export function readPrices(value: unknown): Prices {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw KALI.PRICES_INVALID({ what: 'a price table', expected: `an object of currency and ${UNITS.join(', ')}` })
  const fields = value as Readonly<Record<string, unknown>>
  const unknown = Object.keys(fields).find((name) => name !== 'currency' && !UNITS.some((unit) => unit === name))
  if (unknown !== undefined) throw KALI.PRICES_INVALID({ what: `"${unknown.slice(0, 40)}"`, expected: `one of currency, ${UNITS.join(', ')}` })
  const { currency } = fields
  if (typeof currency !== 'string' || !CURRENCY.test(currency)) throw KALI.PRICES_INVALID({ what: 'currency', expected: 'a word or sign such as "EUR"' })
  const price = (unit: typeof UNITS[number]): number => {
    const given = fields[unit] ?? 0
    if (typeof given !== 'number' || !(given >= 0 && given <= PRICE_MAX)) throw KALI.PRICES_INVALID({ what: unit, expected: `a number from 0 to ${PRICE_MAX}` })
    return given
  }
  return { currency, vcpuHour: price('vcpuHour'), memoryGiBHour: price('memoryGiBHour'), storageGiBHour: price('storageGiBHour'), functionCpuHour: price('functionCpuHour'), callsMillion: price('callsMillion') }
}

export const costOf = (usage: Usage, prices: Prices): number =>
  usage.vcpuMs / HOUR_MS * prices.vcpuHour + usage.memoryMiBMs / MIB_PER_GIB / HOUR_MS * prices.memoryGiBHour + usage.storageMiBMs / MIB_PER_GIB / HOUR_MS * prices.storageGiBHour
  + usage.cpuUs / HOUR_US * prices.functionCpuHour + usage.calls / 1_000_000 * prices.callsMillion
