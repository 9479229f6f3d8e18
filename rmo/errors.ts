// Error table of rmo/: what can go wrong with an object, its verbs and its home.
//
// Raised at the gate, by the kinds, and by the references in a shell. ERRORS.md has the same rows.

import { defineErrors } from '../fabric/base.ts'

const listed = (names: readonly string[]): string => names.length === 0 ? 'none' : names.join(', ')
/** A reason may be a message of its own, with its full stop. */
const clause = (text: string): string => text.replace(/\.$/, '')
const meant = (near: string | undefined): string => near === undefined ? '' : ` Did you mean ${near}?`
/** What verbs that are no verbs of English do, before the object's kind and name. */
const DEEDS: ReadonlyMap<string, string> = new Map(Object.entries({
  acls: 'see or change the access rules of', audit: 'see what was done to', account: 'see what was used of', info: 'see', stats: 'see the figures of', dump: 'see all of',
  patch: 'change the settings of', exec: 'run programs on', readFile: 'read files of', writeFile: 'write files of', open: 'see',
  createPool: 'make pools in', createVM: 'make VMs on', 'VMM.add': 'add VMs to', 'VMM.remove': 'remove VMs from', 'Pool.add': 'add VMs to', 'Pool.remove': 'take members out of',
}))
const who = (principal: string): string => (principal === 'nobody' ? 'Whoever is not logged in' : principal)

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
      `${who(d.principal)} may not ${DEEDS.get(`${d.kind}.${d.verb}`) ?? DEEDS.get(d.verb) ?? d.verb} ${d.kind === 'Global' ? 'the fabric' : `${d.kind} ${d.name}`} (needs "${d.acl}"): ${d.reason}.`,
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
  LIST_TOO_LONG: {
    message: (d: { kind: string; limit: number }) =>
      `There are more ${d.kind}s than one listing holds (${d.limit}). Ask machine by machine, for example \`pms.dmap(pm => pm.vms.length)\`.`,
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
  DRIVER_UNAVAILABLE: {
    message: (d: { uri: string; reason: string }) =>
      `The hypervisor at ${d.uri} is not reachable: ${d.reason}. Start it, or check the URI; the node keeps trying and goes on by itself.`,
    retryable: true,
    outcome: 'not-started',
  },
  NO_HYPERVISOR: {
    message: (d: { machine: string; what: string }) =>
      `${d.machine} has no ${d.what}: its node was started without a hypervisor. Start that node with --driver libvirt, or with --driver memory for simulated ones.`,
    outcome: 'not-started',
  },
  DRIVER_TIMEOUT: {
    message: (d: { uri: string; operation: string; timeoutMs: number }) =>
      `The hypervisor at ${d.uri} did not answer ${d.operation} within ${d.timeoutMs} ms. It may still be done: look at the object's state before trying again.`,
    outcome: 'unknown',
  },
  /** Anything the hypervisor refused that has no row of its own; `number` and `text` are its own words. */
  DRIVER_FAILED: {
    message: (d: { operation: string; name: string; number: number; text: string }) =>
      `${d.operation} of ${d.name} failed in the hypervisor: ${d.text} (libvirt error ${d.number}). Nothing was changed unless the text says so.`,
    outcome: 'failed',
  },
  DEFINITION_INVALID: {
    message: (d: { what: string; reason: string }) =>
      `The hypervisor's definition of ${d.what} cannot be read: ${d.reason}. Look at it with virsh dumpxml and put it right with virsh edit.`,
    outcome: 'not-started',
  },
  DRIVER_UNSUPPORTED: {
    message: (d: { operation: string; driver: string; reason: string }) =>
      `${d.operation} is not possible with the ${d.driver} driver: ${d.reason}.`,
    outcome: 'not-started',
  },
  SWITCH_UNAVAILABLE: {
    message: (d: { socket: string; reason: string }) =>
      `Open vSwitch is not reachable at ${d.socket}: ${d.reason}. Start ovsdb-server and ovs-vswitchd, or use a Linux bridge; the node keeps trying and goes on by itself.`,
    retryable: true,
    outcome: 'not-started',
  },
  SWITCH_TIMEOUT: {
    message: (d: { operation: string; name: string; timeoutMs: number }) =>
      `${d.operation} of ${d.name} was not done by the switch within ${d.timeoutMs} ms. It may still be done: look at the switch before trying again.`,
    outcome: 'unknown',
  },
  /** Anything the switch refused that has no row of its own; `text` is its own words. */
  SWITCH_FAILED: {
    message: (d: { operation: string; name: string; text: string }) =>
      `${d.operation} of ${d.name} failed in the switch: ${d.text}. Nothing was changed.`,
    outcome: 'failed',
  },
  STATE_INVALID: {
    message: (d: { kind: string; name: string; operation: string; state: string; needs: string }) =>
      `${d.kind} ${d.name} is ${d.state}; ${d.operation} needs it ${d.needs}.`,
    outcome: 'not-started',
  },
  NAME_TAKEN: {
    message: (d: { kind: string; name: string; host: string; uuid: string }) =>
      `${d.host} already has a ${d.kind} named "${d.name}" (${d.uuid}). Choose another name, or remove that one.`,
    outcome: 'not-started',
  },
  ALREADY_EXISTS: {
    message: (d: { what: string; host: string }) =>
      `${d.what} exists already on ${d.host}. Use it, choose another name, or remove it first.`,
    outcome: 'not-started',
  },
  IN_USE: {
    message: (d: { kind: string; name: string; by: readonly string[] }) =>
      `${d.kind} ${d.name} is in use by ${listed(d.by)}. Remove or detach those first.`,
    outcome: 'not-started',
  },
  NO_SPACE: {
    message: (d: { what: string; path: string; reason: string }) =>
      `No room for ${d.what} in ${d.path}: ${d.reason}. What was begun has been removed; make room and try again.`,
    outcome: 'failed',
  },
  NO_CAPACITY: {
    message: (d: { what: string; host: string; wanted: string; free: string }) =>
      `${d.host} has no room for ${d.what}: it needs ${d.wanted}, ${d.free} is free. Stop something there or choose another machine.`,
    outcome: 'not-started',
  },
  IMAGE_MISSING: {
    message: (d: { image: string; host: string; known: readonly string[] }) =>
      `${d.host} has no image "${d.image}". It has: ${listed(d.known)}. Import it there, or use a pool that both machines share.`,
    outcome: 'not-started',
  },
  IMAGE_CORRUPT: {
    message: (d: { image: string; path: string; reason: string }) =>
      `Image ${d.image} (${d.path}) is not usable: ${d.reason}. Import it again from a good copy.`,
    outcome: 'not-started',
  },
  VERSION_CONFLICT: {
    message: (d: { kind: string; name: string; expected: string; actual: string }) =>
      `${d.kind} ${d.name} was changed by somebody else: your change was made from version ${d.expected}, it is ${d.actual} now. Read it again and repeat the change.`,
    outcome: 'not-started',
  },
  READ_ONLY: {
    message: (d: { kind: string; name: string; property: string; settable: readonly string[] }) =>
      `${d.property} of ${d.kind} ${d.name} cannot be set. Settable: ${listed(d.settable)}.`,
    outcome: 'not-started',
  },
  COLD: {
    message: (d: { kind: string; name: string; verb: string }) =>
      `${d.kind} ${d.name} is cold: it exists only here, so ${d.verb} has nothing to work on. Add it first: await pm.vmm.add(it).`,
    outcome: 'not-started',
  },
  MIGRATION_REFUSED: {
    message: (d: { name: string; to: string; reason: string }) =>
      `${d.name} cannot move to ${d.to}: ${clause(d.reason)}. It is where it was.`,
    outcome: 'not-started',
  },
  MIGRATION_FAILED: {
    message: (d: { name: string; to: string; phase: string; reason: string; left: string }) =>
      `The migration of ${d.name} to ${d.to} failed while ${d.phase}: ${clause(d.reason)}. ${d.left}`,
    outcome: 'failed',
  },
  STOP_TIMEOUT: {
    message: (d: { name: string; waitedMs: number }) =>
      `VM ${d.name} was asked to stop and still runs after ${d.waitedMs} ms. Give it longer (timeoutMs), or pull the plug: stop with force, or destroy.`,
    outcome: 'failed',
  },
  NOT_ITS_OWN: {
    message: (d: { name: string; host: string }) =>
      `VM ${d.name} was set going on ${d.host} and ended at once: while that took, this machine lost the right to run it. Ask where it is now ("kumoi pool why").`,
    outcome: 'failed',
  },
  PARTLY_DONE: {
    message: (d: { operation: string; name: string; reason: string; left: readonly string[] }) =>
      `${d.operation} of ${d.name} failed and could not be undone completely: ${clause(d.reason)}. Left behind: ${listed(d.left)}. Remove these by hand.`,
    outcome: 'failed',
  },
  TOOL_MISSING: {
    message: (d: { tool: string; machine: string; does: string; install: string }) =>
      `${d.machine} lacks ${d.tool}, which ${d.does}. Install it there: ${d.install}.`,
    outcome: 'not-started',
  },
  DISK_UNUSABLE: {
    message: (d: { path: string; host: string; reason: string }) =>
      `Disk ${d.path} of ${d.host} cannot be used: ${d.reason}.`,
    outcome: 'not-started',
  },
  DISK_FAILED: {
    message: (d: { operation: string; path: string; host: string; reason: string }) =>
      `${d.operation} ${d.path} on ${d.host} failed: ${clause(d.reason)}. What was begun has been removed; nothing else was changed.`,
    outcome: 'failed',
  },

  // --- audit (rmo/audit)
  AUDIT_UNAVAILABLE: {
    message: (d: { verb: string; object: string; reason: string }) =>
      `${d.verb}${d.object === '' ? '' : ` of ${d.object}`} was not begun: the audit log of its node cannot record it (${clause(d.reason)}). Make room on the disk of that node; reading goes on meanwhile.`,
    retryable: true,
    outcome: 'not-started',
  },
  REFUSED_TOO_OFTEN: {
    message: (d: { principal: string; times: number; windowMs: number }) =>
      `${d.principal} was refused ${d.times} times within ${d.windowMs / 1_000} s. Wait a minute, and ask for what you may do ("kumoi acl why").`,
    retryable: true,
    outcome: 'not-started',
  },
  AUDIT_FILE: {
    message: (d: { file: string; reason: string }) => `${d.file} is no export of an audit log: ${clause(d.reason)}. Make one with \`kumoi audit export\`.`,
    outcome: 'not-started',
  },
  AUDIT_UNKNOWN_NODE: {
    message: (d: { node: string; known: readonly string[] }) => `No member of this fabric is called "${d.node}". There are: ${listed(d.known)}.`,
    outcome: 'not-started',
  },
})
