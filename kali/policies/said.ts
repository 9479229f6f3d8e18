// What a policy says without doing anything ("note"): told when it begins to be true, not in every round, and told anew when it
// was false in between. A reason therefore holds no ages or counters, which change by themselves; those go into `notes`.

import type { Proposal } from '../cloud/contract.ts'

/** Part of a policy's memory: what stands said, by subject. */
export type Said = Readonly<Record<string, string>>

export interface Sayings {
  /** `subject`: uuid of the VM, group, machine or pool that it is about. */
  say(subject: string, reason: string, details?: Readonly<Record<string, unknown>>): void
  /** What was not said the round before, and what to remember. */
  end(): { readonly proposals: readonly Proposal[]; readonly said: Said }
}

export function beginSayings(before: Said | undefined): Sayings {
  const said: Record<string, string> = {}
  const proposals: Proposal[] = []
  return {
    say(subject, reason, details) {
      if (before?.[subject] !== reason && said[subject] !== reason) {
        proposals.push({ action: { do: 'note', about: [subject], ...(details === undefined ? {} : { details }) }, reason, ...(details === undefined ? {} : { details }) })
      }
      said[subject] = reason
    },
    end: () => ({ proposals, said }),
  }
}
