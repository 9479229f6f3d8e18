// Bounds of an elastic group by the clock (ElasticSpec.schedule): rows { from, to, min?, max? }, the first that holds counts.
//
//   "08:00" to "18:00"           every day; "22:00" to "06:00" goes over midnight
//   "Mon 08:00" to "Fri 18:00"   every week, without a break between; "Sat 00:00" to "Mon 00:00" goes over its end
//
// UTC. `to` is the first minute that is not in it. The group's own max stands above all rows (rule 13). Pure.

import type { ElasticSpec } from '../cloud/contract.ts'

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const
const TIME = /^(?:(Sun|Mon|Tue|Wed|Thu|Fri|Sat) )?([01]\d|2[0-3]):([0-5]\d)$/
const DAY_MINUTES = 1_440
const MINUTE_MS = 60_000
const WEEK_MINUTES = 7 * DAY_MINUTES
/** 1970 began on a Thursday. */
const EPOCH_DAY = 4

interface Time { readonly day: number | undefined; readonly minute: number }

function parseTime(text: string): Time | undefined {
  const [, day, hour, minute] = TIME.exec(text) ?? []
  if (hour === undefined || minute === undefined) return undefined
  return { day: day === undefined ? undefined : DAYS.indexOf(day as typeof DAYS[number]), minute: Number(hour) * 60 + Number(minute) }
}

/** What is wrong with a row, for people; undefined: nothing. */
export function scheduleProblem({ from, to }: { readonly from: string; readonly to: string }): string | undefined {
  const a = parseTime(from), b = parseTime(to)
  if (a === undefined || b === undefined) return `"${a === undefined ? from : to}" is no time; write "08:00" or "Mon 08:00" (UTC)`
  return (a.day === undefined) === (b.day === undefined) ? undefined : `"${from}" and "${to}": a weekday in both or in none`
}

function holds({ from, to }: { readonly from: string; readonly to: string }, atMs: number): boolean {
  const a = parseTime(from), b = parseTime(to)
  if (a === undefined || b === undefined || (a.day === undefined) !== (b.day === undefined)) return false
  const cycle = a.day === undefined ? DAY_MINUTES : WEEK_MINUTES
  const at = ({ day = 0, minute }: Time): number => day * DAY_MINUTES + minute
  const now = (Math.floor(atMs / MINUTE_MS) + EPOCH_DAY * DAY_MINUTES) % cycle
  const start = at(a), end = at(b)
  return start <= end ? now >= start && now < end : now >= start || now < end
}

export interface Bounds { readonly min: number; readonly max: number; /** Of the row that counts. */ readonly row?: string }

/** What holds at a moment; rows that cannot be read count for nothing. */
export function boundsAt({ min, max, schedule = [] }: Pick<ElasticSpec, 'min' | 'max' | 'schedule'>, atMs: number): Bounds {
  const row = schedule.find((one) => holds(one, atMs))
  if (row === undefined) return { min: Math.min(min, max), max }
  const most = Math.min(max, row.max ?? max)
  return { min: Math.min(row.min ?? min, most), max: most, row: `${row.from} to ${row.to}` }
}
