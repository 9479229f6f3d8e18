// Error table of rmo/: what can go wrong with an object, its verbs and its home.
//
// Raised at the gate, by the kinds, and by the references in a shell. ERRORS.md has the same rows.

import { defineErrors } from '../fabric/base.ts'

const listed = (names: readonly string[]): string => names.length === 0 ? 'none' : names.join(', ')
const meant = (near: string | undefined): string => near === undefined ? '' : ` Did you mean ${near}?`

export const RMO = defineErrors('RMO_ERR', {
  KIND_UNKNOWN: {
    message: (d: { kind: string; kinds: readonly string[] }) =>
      `There is no kind "${d.kind}". Kinds of this node: ${listed(d.kinds)}; use one of them, or run the same Kumoi version everywhere.`,
    outcome: 'not-started',
  },
  OBJECT_UNKNOWN: {
    message: (d: { kind: string; uuid: string; node: string }) =>
      `${d.node} has no ${d.kind} with uuid ${d.uuid}. List the ${d.kind}s again and use a reference from that list.`,
    outcome: 'not-started',
  },
  VERB_UNKNOWN: {
    message: (d: { kind: string; verb: string; verbs: readonly string[]; near?: string | undefined }) =>
      `${d.kind} has no verb "${d.verb}".${meant(d.near)} It has: ${listed(d.verbs)}.`,
    outcome: 'not-started',
  },
  PROPERTY_UNKNOWN: {
    message: (d: { kind: string; name: string; property: string; near?: string | undefined; attributes: readonly string[]; verbs: readonly string[]; collections: readonly string[] }) =>
      `${d.kind} ${d.name} has no property "${d.property}".${meant(d.near)} Attributes: ${listed(d.attributes)}. Verbs: ${listed(d.verbs)}.` +
      (d.collections.length === 0 ? '' : ` Collections: ${listed(d.collections)}.`),
    outcome: 'not-started',
  },
  ARGUMENT_INVALID: {
    message: (d: { call: string; path: string; expected: string; got: string }) =>
      `${d.call}: ${d.path} must be ${d.expected}, got ${d.got}.`,
    outcome: 'not-started',
  },
  ARGUMENT_UNKNOWN: {
    message: (d: { call: string; path: string; known: readonly string[]; near?: string | undefined }) =>
      `${d.call}: there is no option ${d.path}.${meant(d.near)} Options: ${listed(d.known)}.`,
    outcome: 'not-started',
  },
  DENIED: {
    message: (d: { principal: string; kind: string; name: string; verb: string; acl: string; reason: string }) =>
      `${d.principal} may not ${d.verb} ${d.kind} ${d.name} (needs "${d.acl}"): ${d.reason}.`,
    outcome: 'not-started',
  },
  GONE: {
    message: (d: { kind: string; name: string; reason: string }) =>
      `${d.kind} ${d.name} is gone: ${d.reason}. List the ${d.kind}s again to see what there is.`,
    outcome: 'not-started',
  },
  MOVED: {
    message: (d: { kind: string; uuid: string; home: string }) =>
      `${d.kind} ${d.uuid} has moved to node ${d.home.slice(0, 8)}. Ask there; references follow by themselves.`,
    retryable: true,
    outcome: 'not-started',
  },
  LIST_INCOMPLETE: {
    message: (d: { kind: string; failed: readonly string[]; first: string }) =>
      `The ${d.kind}s of ${listed(d.failed)} could not be listed: ${d.first} Wait until the member list has settled, then ask again.`,
    retryable: true,
    outcome: 'not-started',
  },
  BUSY: {
    message: (d: { what: string; machine: string; limit: number }) =>
      `${d.machine} already runs ${d.limit} ${d.what}. Try again when some have ended, or lower the concurrency.`,
    retryable: true,
    outcome: 'not-started',
  },
  EXEC_NOT_FOUND: {
    message: (d: { file: string; machine: string }) =>
      `There is no such program "${d.file}" on ${d.machine}. Give its full path or install it; exec starts no shell, so pass arguments as an array.`,
    outcome: 'not-started',
  },
  EXEC_FAILED: {
    message: (d: { file: string; machine: string; reason: string }) =>
      `"${d.file}" could not be started on ${d.machine}: ${d.reason}. Check that the file is executable and the arguments are not too long.`,
    outcome: 'not-started',
  },
  EXEC_TIMEOUT: {
    message: (d: { file: string; machine: string; timeoutMs: number; stdout: string; stderr: string }) =>
      `"${d.file}" on ${d.machine} was killed after ${d.timeoutMs} ms with its process group. Raise timeoutMs if it needs longer.`,
    outcome: 'unknown',
  },
  OUTPUT_TOO_LARGE: {
    message: (d: { file: string; machine: string; limitBytes: number }) =>
      `"${d.file}" on ${d.machine} wrote more than ${d.limitBytes} bytes and was killed. Make it write less, or to a file.`,
    outcome: 'unknown',
  },
  FILE_FAILED: {
    message: (d: { path: string; machine: string; reason: string }) =>
      `${d.path} on ${d.machine} could not be read: ${d.reason}. Check the path and its permissions there.`,
    outcome: 'failed',
  },
  FILE_TOO_LARGE: {
    message: (d: { path: string; machine: string; limitBytes: number }) =>
      `${d.path} on ${d.machine} has more than ${d.limitBytes} bytes. Raise maxBytes, or read a part of it with exec('tail', ...).`,
    outcome: 'failed',
  },
  TOO_MANY_WATCHES: {
    message: (d: { machine: string; limit: number }) =>
      `${d.machine} already serves ${d.limit} watches. End some with unwatch() or by leaving their loops.`,
    retryable: true,
    outcome: 'not-started',
  },
})
