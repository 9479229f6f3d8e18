// Secrets that were revealed in this isolate: they are for the system's own verbs (pm.exec, ...), and refused in whatever else
// leaves the function: what it ships, emits, stores, and passes to other functions. Lines of the log show their names instead.
// The kernel redacts lines once more (functions/state/secrets.ts); a function that disguises a secret is its author's business.

import { SandboxError } from './error-capture.ts'
import { JSONStringify, stringIndexOf, stringSlice } from './primordials.ts'
import { encodeText } from './text.ts'

interface Revealed { readonly name: string; readonly value: string; readonly bytes: Uint8Array; /** As it stands inside JSON. */ readonly quoted: string }

/** A shorter one would be found everywhere. */
const CHARS_MIN = 4
const REVEALED_MAX = 64
const revealed: Revealed[] = []

/** Noted for as long as the isolate lives: what a call has put aside is no less secret in the next. */
export function noteSecret(name: string, value: string): void {
  if (value.length < CHARS_MIN) return
  for (let i = 0; i < revealed.length; i++) if ((revealed[i] as Revealed).value === value) return
  const quoted = JSONStringify(value) as string
  // The oldest goes when it has been set anew ever so often.
  revealed[revealed.length < REVEALED_MAX ? revealed.length : 0] = { name, value, bytes: encodeText(value), quoted: stringSlice(quoted, 1, quoted.length - 1) }
}

function contains(bytes: Uint8Array, part: Uint8Array): boolean {
  const first = part[0] as number
  const last = bytes.length - part.length
  outer: for (let at = 0; at <= last; at++) {
    if (bytes[at] !== first) continue
    for (let i = 1; i < part.length; i++) if (bytes[at + i] !== part[i]) continue outer
    return true
  }
  return false
}

const WHAT: Readonly<Record<string, string>> = { run: 'what a d-verb ships', emit: 'what is emitted', 'fn.invoke': 'the payload of a call', 'fn.enqueue': 'the payload of a call', 'state.put': 'a value of state' }

/** Encoded text stands in one piece, so that one search finds it wherever it is, also inside captured values. Throws SECRET_CAPTURED. */
export function refuseSecrets(bytes: Uint8Array, verb: string): void {
  for (let i = 0; i < revealed.length; i++) {
    const { name, bytes: secret } = revealed[i] as Revealed
    if (contains(bytes, secret)) throw new SandboxError('FUNCTIONS_ERR_SECRET_CAPTURED', `${WHAT[verb] ?? verb} contains the secret ${name}, which may not leave the function; read it with \`secrets.get\` where it is needed`)
  }
}

function replaced(text: string, part: string, by: string): string {
  let at = stringIndexOf(text, part)
  if (at < 0) return text
  let out = ''
  let from = 0
  for (; at >= 0; at = stringIndexOf(text, part, from)) {
    out += stringSlice(text, from, at) + by
    from = at + part.length
  }
  return out + stringSlice(text, from)
}

export function redacted(text: string): string {
  for (let i = 0; i < revealed.length; i++) {
    const { name, value, quoted } = revealed[i] as Revealed
    text = replaced(replaced(text, value, `[secret ${name}]`), quoted, `[secret ${name}]`)
  }
  return text
}
