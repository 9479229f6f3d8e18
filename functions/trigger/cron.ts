// Cron patterns: when they come due. Owner of croner.
//
// Five fields, or six with seconds first, or a nickname ("@daily"), in a time zone. Summer time, as Vixie cron does: a
// pattern that names its times (no wildcard or step in hours, minutes and seconds) runs once a day, at the end of the gap
// when its time is left out, and at the first of two when it is repeated; one with a wildcard or step goes on by real time.

import { Cron } from 'croner'

export interface CronTimes {
  /** First occurrence after that moment (wall clock, milliseconds); undefined when there is none any more. */
  next(afterMs: number): number | undefined
}

const FORM = /^(@[a-z]+|\S+(\s+\S+){4,5})$/i

const parse = (pattern: string, timezone: string): Cron => {
  if (!FORM.test(pattern.trim())) throw new Error('a pattern has five fields, or six with seconds first')
  return new Cron(pattern, { paused: true, timezone, fixedTimeRule: 'no-wildcard' })
}

/** What is wrong with a pattern or its time zone, in words; undefined: nothing. */
export function cronProblem(pattern: string, timezone: string): string | undefined {
  try {
    parse(pattern, timezone).nextRun(new Date(0))
    return undefined
  } catch (error) {
    // One sentence of croner's own words.
    return (error instanceof Error ? error.message : String(error)).replace(/^Cron\w*: /, '').split('. ')[0]
  }
}

/** Throws when there is a cronProblem(). */
export function cronTimes(pattern: string, timezone: string): CronTimes {
  const cron = parse(pattern, timezone)
  return { next: (afterMs) => cron.nextRun(new Date(afterMs))?.getTime() }
}
