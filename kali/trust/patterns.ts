// Patterns of rights as tokens and roles carry them: "vm:start", "*:read", "vm:*", "*:*". What they mean is for the gate
// (rmo/acl); here only their form, and which of them narrows which. Pure.

import { LIMITS } from '../../fabric/base.ts'
import type { RightPattern } from '../../rmo/mod.ts'
import { KALI } from '../errors.ts'

export const PATTERN = /^(?:\*|[a-z][a-z0-9-]*):(?:\*|[A-Za-z][A-Za-z0-9]*)$/

/** "read" -> "*:read", "VM:start" -> "vm:start" (kinds are not told apart by case). Throws TRUST_INVALID. */
export function canonicalPattern(text: string): RightPattern {
  const [kind, ...rest] = text.split(':')
  const whole = rest.length === 0 ? `*:${text}` : [kind?.toLowerCase(), ...rest].join(':')
  if (whole.length > LIMITS.patternCharsMax || !PATTERN.test(whole)) throw KALI.TRUST_INVALID({ what: 'a right', expected: 'KIND:VERB, such as vm:start, vm:* or *:read', got: JSON.stringify(text.slice(0, LIMITS.patternCharsMax)) })
  return whole
}

/** Sorted, each once, none that another one covers. Throws TRUST_INVALID. */
export function canonicalPatterns(texts: readonly string[]): readonly RightPattern[] {
  const all = [...new Set(texts.map(canonicalPattern))].sort()
  return all.filter((one) => !all.some((other) => other !== one && covers(other, one)))
}

/** Whether every right of `narrow` is one of `wide`, by their words alone: "vm:operate" is not asked whether it has "vm:start". */
export function covers(wide: RightPattern, narrow: RightPattern): boolean {
  const [wideKind, wideVerb] = wide.split(':'), [kind, verb] = narrow.split(':')
  return (wideKind === '*' || wideKind === kind) && (wideVerb === '*' || wideVerb === verb)
}
