// Every message of the shell's own: what happened, to what, and what to do. One table, see
// fabric/errors.ts; exit statuses follow from the codes at the end of this file.

import { defineErrors, errorCode } from '../fabric/base.ts'

/** Named in one message. */
const NAMES_MAX = 8

export const CLI = defineErrors('CLI_ERR', {
  USAGE: {
    message: (d: { readonly problem: string; readonly hint?: string }) => `${d.problem}${d.hint === undefined ? '' : `\n${d.hint}`}`,
    outcome: 'not-started',
  },
  NO_NODE: {
    message: (d: { readonly data: string; readonly reason: string }) =>
      `No node answers in ${d.data} (${d.reason}). Start one with \`kumoi up --detach\`, or name another directory with --data DIR.`,
    retryable: true, outcome: 'not-started',
  },
  TIMEOUT: {
    message: (d: { readonly timeoutMs: number }) =>
      `Not done within the --timeout of ${d.timeoutMs} ms; what was under way has been cancelled. Give it longer, or ask fewer machines.`,
    retryable: true, outcome: 'unknown',
  },
  INTERRUPTED: {
    message: () => 'Interrupted; what was under way has been cancelled.',
    outcome: 'unknown',
  },
  NOT_FOUND: {
    message: (d: { readonly what: string; readonly name: string; readonly near?: string | undefined; readonly known: readonly string[]; readonly more: number; readonly away?: readonly string[] }) =>
      `There is no ${d.what} "${d.name}"${d.away === undefined || d.away.length === 0 ? '' : ` on the machines that answer; not asked: ${d.away.join(', ')}`}.${d.near === undefined ? '' : ` Did you mean ${d.near}?`} ` +
      `${d.known.length === 0 ? 'There are none.' : `There are: ${d.known.join(', ')}${d.more > 0 ? ` and ${d.more} more` : ''}.`}`,
    outcome: 'not-started',
  },
  MACHINE_AWAY: {
    message: (d: { readonly name: string; readonly state: string; readonly known: readonly string[] }) =>
      `${d.name} ${d.state === 'left' ? 'has left the fabric' : 'is dead (its node does not run, or cannot be reached)'}: nothing can be done there. Bring its node back, or choose another machine: ${d.known.length === 0 ? 'there is none' : d.known.join(', ')}. See \`kumoi nodes\`.`,
    retryable: true, outcome: 'not-started',
  },
  AMBIGUOUS: {
    message: (d: { readonly what: string; readonly name: string; readonly found: readonly string[] }) =>
      `"${d.name}" names more than one ${d.what}: ${d.found.join(', ')}. Write HOST/NAME, or its uuid.`,
    outcome: 'not-started',
  },
  NO_HYPERVISOR: {
    message: () => 'No machine of this fabric has a hypervisor. Start its node with --driver libvirt, or with --driver memory for simulated machines (`kumoi up --help`).',
    outcome: 'not-started',
  },
  NO_POOL: {
    message: () => 'There is no pool yet. Make one: `kumoi pool create NAME`, then `kumoi pool add NAME MACHINE...`.',
    outcome: 'not-started',
  },
  FILE_UNREADABLE: {
    message: (d: { readonly file: string; readonly reason: string }) => `Cannot read ${d.file}: ${d.reason}. Check the path.`,
    outcome: 'not-started',
  },
  FILE_UNWRITABLE: {
    message: (d: { readonly file: string; readonly reason: string }) => `Cannot write ${d.file}: ${d.reason}. Name another place with --out.`,
    outcome: 'not-started',
  },
  SYNTAX: {
    message: (d: { readonly what?: string; readonly reason: string; readonly excerpt: string }) => `The ${d.what ?? 'expression'} cannot be read: ${d.reason}\n${d.excerpt}`,
    outcome: 'not-started',
  },
  NOT_A_FUNCTION: {
    message: (d: { readonly type: string }) =>
      `explain needs a function, and the expression gives ${d.type}. Write it as you would pass it: kumoi explain 'pm => pm.name'.`,
    outcome: 'not-started',
  },
  SCRIPT_MISSING: {
    message: (d: { readonly file: string; readonly reason: string }) => `Cannot run ${d.file}: ${d.reason}. Give the path of a .ts, .js, .mjs or .cjs file.`,
    outcome: 'not-started',
  },
  START_FAILED: {
    message: (d: { readonly reason: string; readonly log: string }) => `The node did not start: ${d.reason}\nIts log is ${d.log}; \`kumoi doctor\` checks this machine.`,
  },
  START_TIMEOUT: {
    message: (d: { readonly timeoutMs: number; readonly log: string; readonly pid: number }) =>
      `The node was not ready after ${d.timeoutMs} ms and has been stopped (process ${d.pid}). Its log is ${d.log}; \`kumoi doctor\` checks this machine.`,
    outcome: 'unknown',
  },
  TOUR_STEP: {
    message: (d: { readonly step: string; readonly reason: string }) => `The tour stopped at "${d.step}": ${d.reason}\nEverything it started has been removed. \`kumoi doctor\` checks this machine.`,
  },
  LAB_MISSING: {
    message: (d: { readonly missing: readonly string[]; readonly packages: readonly string[] }) =>
      `This lab needs ${d.missing.join(', ')}, which this machine lacks. As root: apt-get install --no-install-recommends ${d.packages.join(' ')}. Or try --driver memory, which needs nothing.`,
    outcome: 'not-started',
  },
  LAB_FAILED: {
    message: (d: { readonly step: string; readonly reason: string; readonly left?: string }) => `${d.step} failed: ${d.reason}${d.left === undefined ? '' : `\n${d.left}`}`,
  },
  LAB_UNKNOWN: {
    message: (d: { readonly directory: string; readonly flags: string }) => `There is no lab in ${d.directory}. Make one with \`kumoi lab up${d.flags}\`.`,
    outcome: 'not-started',
  },
  PROTECTED_HERE: {
    message: (d: { readonly node: string; readonly vms: readonly string[] }) =>
      `${d.node} runs protected VMs: ${d.vms.slice(0, NAMES_MAX).join(', ')}${d.vms.length > NAMES_MAX ? ` and ${d.vms.length - NAMES_MAX} more` : ''}. They would end with it and start elsewhere. Move them first with \`kumoi down --drain\`, or let them with \`kumoi down --force\`.`,
    outcome: 'not-started',
  },
  LAB_REFUSED: {
    message: (d: { readonly what: string; readonly reason: string; readonly advice: string }) => `${d.what}: ${d.reason}. ${d.advice}`,
    outcome: 'not-started',
  },
})

/** What a process of ours may end with. */
export const EXIT = { done: 0, failed: 1, usage: 2, noNode: 3, interrupted: 130, terminated: 143 } as const

const NO_NODE_CODES: ReadonlySet<string> = new Set([CLI.NO_NODE.code, 'FABRIC_ERR_NO_NODE'])

/** Exit status of a command that ended with this error. */
export function exitStatusOf(error: unknown): number {
  const code = errorCode(error)
  if (code === CLI.USAGE.code) return EXIT.usage
  if (code === CLI.INTERRUPTED.code) return EXIT.interrupted
  return code !== undefined && NO_NODE_CODES.has(code) ? EXIT.noNode : EXIT.failed
}
