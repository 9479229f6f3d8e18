// Error table of kali/: KALI_ERR_*. ERRORS.md has the same rows.
//
// Messages say what happened, to what, and what to do. Callers compare codes, never text.

import { defineErrors } from '../fabric/base.ts'

export const KALI = defineErrors('KALI_ERR', {
  TRACE_INVALID: { message: (d: { file: string; line: number; expected: string; got: string }) => `${d.file}, line ${d.line}: expected ${d.expected}, got ${d.got}`, outcome: 'not-started' },
  SIMULATE_UNKNOWN: { message: (d: { what: string; name: string; known: string }) => `the simulation has no ${d.what} ${d.name}; it has ${d.known}`, outcome: 'not-started' },
  // --- cloud
  NO_ROOM: { message: (d: { readonly vm: string; readonly where: string; readonly reason: string }) => `There is no room for ${d.vm} on ${d.where}: ${d.reason}. Add a machine, stop a VM, or raise the pool's over-commit; "kumoi pool why" names what each machine lacks.`, outcome: 'not-started' },
  QUOTA: { message: (d: { readonly scope: string; readonly what: string; readonly wanted: number; readonly limit: number }) => `The quota of ${d.scope} is ${d.limit} ${d.what}; this would make it ${d.wanted}. Stop or remove a VM, or raise the quota.`, outcome: 'not-started' },
  NAME_TAKEN: { message: (d: { readonly what: string; readonly name: string }) => `There is already a ${d.what} "${d.name}". Choose another name.`, outcome: 'not-started' },
  CHANGED: { message: (d: { readonly what: string }) => `${d.what} was changed by somebody else at the same time; nothing was written. Look again, then repeat it.`, retryable: true, outcome: 'not-started' },
  POOL_UNKNOWN: { message: (d: { readonly pool: string }) => `There is no pool ${d.pool}. "kumoi pools" lists them.`, outcome: 'not-started' },
  VM_UNKNOWN: { message: (d: { readonly vm: string }) => `No pool manages a VM ${d.vm}. "kumoi pool show" lists what a pool has; "kumoi pool add POOL --vm VM" lets it manage one.`, outcome: 'not-started' },
  GROUP_UNKNOWN: { message: (d: { readonly group: string }) => `There is no elastic group ${d.group}. "kumoi pool show" lists those of a pool.`, outcome: 'not-started' },
  RULE_UNKNOWN: { message: (d: { readonly pool: string; readonly rule: string }) => `Pool ${d.pool} has no rule "${d.rule}". "kumoi pool show" lists its rules.`, outcome: 'not-started' },
  NOT_EMPTY: { message: (d: { readonly what: string; readonly holds: string }) => `${d.what} is not empty: it has ${d.holds}. Take them out first.`, outcome: 'not-started' },
  MACHINE_TAKEN: { message: (d: { readonly machine: string; readonly pool: string }) => `Machine ${d.machine} is in pool ${d.pool}; a machine is in one pool at a time. Take it out there first.`, outcome: 'not-started' },
  MACHINE_UNKNOWN: { message: (d: { readonly machine: string; readonly where: string }) => `There is no machine ${d.machine} in ${d.where}. "kumoi pool show" lists those that it has.`, outcome: 'not-started' },
  NOT_MOVABLE: { message: (d: { readonly vm: string; readonly reason: string }) => `VM ${d.vm} could not run on another machine: ${d.reason}. High availability would be an empty promise.`, outcome: 'not-started' },
  TWO_NODES: { message: (d: { readonly nodes: number }) => `High availability needs three nodes, and there ${d.nodes === 1 ? 'is 1' : `are ${d.nodes}`}: two cannot tell which of them was cut off. Add a third; it needs no VMs.`, outcome: 'not-started' },
  RULE_INFEASIBLE: { message: (d: { readonly rule: string; readonly reason: string }) => `Rule "${d.rule}" cannot be kept: ${d.reason}. Make it soft, or change what it is about.`, outcome: 'not-started' },
  LEASE_LOST: { message: (d: { readonly node: string; readonly reason: string }) => `Node ${d.node} does not hold its lease: ${d.reason}. Protected VMs do not run there until it does.`, retryable: true, outcome: 'not-started' },
  STORE_AWAY: { message: (d: { readonly what: string; readonly waitedMs: number }) => `The global store did not show ${d.what} within ${d.waitedMs} ms. What was written stays written; ask again when the store answers ("kumoi store status").`, retryable: true, outcome: 'unknown' },
  TIMINGS_UNSAFE: { message: (d: { readonly reason: string }) => `These times of high availability are not safe: ${d.reason}. Use the preset "fast" or "calm", or correct them.`, outcome: 'not-started' },
  EPOCH_STALE: { message: (d: { readonly vm: string; readonly epoch: number; readonly present: string }) => `VM ${d.vm} is no longer this machine's in epoch ${d.epoch}: ${d.present}. Nothing was done.`, outcome: 'not-started' },
  POLICY_FOREIGN: { message: (d: { readonly policy: string; readonly caller: string }) => `The function ${d.caller} acted as the policy ${d.policy}, whose memory is not its to replace. A policy acts under the name that it was deployed by.`, outcome: 'not-started' },
  MANAGED: { message: (d: { readonly vm: string; readonly verb: string; readonly instead: string }) => `VM ${d.vm} is managed by a pool, which must know where it is: ${d.verb} was refused. Use ${d.instead}.`, outcome: 'not-started' },
  NOT_TAKEABLE: { message: (d: { readonly vm: string; readonly reason: string }) => `VM ${d.vm} may not be taken over yet: ${d.reason}. It would be running twice.`, outcome: 'not-started' },
  GROUP_SPEC: { message: (d: { readonly what: string; readonly expected: string; readonly got: string }) => `This elastic group cannot be: ${d.what} must be ${d.expected}, got ${d.got}.`, outcome: 'not-started' },
  RECORD_INVALID: { message: (d: { readonly what: string; readonly expected: string; readonly got: string }) => `A record of the cloud is not right: ${d.what} must be ${d.expected}, got ${d.got}.`, outcome: 'not-started' },
  // --- trust: tokens and sessions
  LOGIN_NEEDED: { message: (d: { readonly method: string }) => `Nobody is logged in on this connection, so ${d.method} was refused. Log in with \`kumoi login NAME\`.`, outcome: 'not-started' },
  LOGIN_LATER: { message: (d: { readonly seconds: number }) => `There were too many wrong passwords; try again in ${d.seconds} s.`, retryable: true, outcome: 'not-started' },
  LOGIN_FILE: { message: (d: { readonly path: string; readonly reason: string }) => `The login in ${d.path} cannot be used: ${d.reason}. \`kumoi logout\` removes it, \`kumoi login NAME\` makes a new one.`, outcome: 'not-started' },
  TOKEN_REFUSED: { message: (d: { readonly reason: string }) => `The token was refused: ${d.reason}. Log in again with \`kumoi login NAME\`, or \`kumoi logout\` to be this machine's administrator where you hold its socket.`, outcome: 'not-started' },
  TOKEN_SPENT: { message: (d: { readonly calls: number }) => `The ${d.calls} calls of this token are used up on this node. Log in again with \`kumoi login NAME\`.`, outcome: 'not-started' },
  SESSION_ENDED: { message: (d: { readonly user: string; readonly reason: string }) => `The session of ${d.user} was ended: ${d.reason}. Log in again with \`kumoi login ${d.user}\`.`, outcome: 'unknown' },
  NOT_FOR_USERS: { message: (d: { readonly method: string; readonly who: string }) => `${d.method} is for this machine's administrator, not for ${d.who}. Ask whoever holds the node's own socket.`, outcome: 'not-started' },
  USER_REVOKED: { message: (d: { readonly user: string }) => `The user ${d.user} was cut off. An administrator can let him in again with \`kumoi user restore ${d.user}\`.`, outcome: 'not-started' },
  USER_UNKNOWN: { message: (d: { readonly user: string; readonly near: string }) => `No user ${d.user} has ever logged in${d.near === '' ? '' : ` (did you mean ${d.near}?)`}. \`kumoi user list\` shows those who have.`, outcome: 'not-started' },
  ROLE_UNKNOWN: { message: (d: { readonly role: string; readonly known: string }) => `There is no record of a role ${d.role}. \`kumoi role list\` shows what there is: ${d.known}.`, outcome: 'not-started' },
  TRUST_INVALID: { message: (d: { readonly what: string; readonly expected: string; readonly got: string }) => `This was refused: ${d.what} must be ${d.expected}, got ${d.got}.`, outcome: 'not-started' },
  TRUST_UNSIGNED: { message: (d: { readonly key: string; readonly reason: string }) => `The record ${d.key} in the global store is not believed: ${d.reason}. Somebody else writes to the store; the last good record stays in force here.`, outcome: 'not-started' },
  TRUST_AWAY: { message: (_: object) => 'This node has not read the users and roles of its fabric yet, and has no copy of them, so it lets nobody in. Ask again when the global store answers (`kumoi store status`).', retryable: true, outcome: 'not-started' },
  // --- access rules
  METHOD_DENIED: { message: (d: { readonly method: string; readonly principal: string; readonly right: string; readonly reason: string }) => `${d.principal} may not call ${d.method}: ${d.reason}.${d.right === '' ? '' : ` It needs the right ${d.right} on global.`}`, outcome: 'not-started' },
  // --- nodes that are cut off
  NODE_UNKNOWN: { message: (d: { readonly node: string; readonly near: string }) => `No node ${d.node} is known${d.near === '' ? '' : ` (did you mean ${d.near}?)`}. Name a member or a revoked node as \`kumoi node list\` shows them, or give a whole key (64 hexadecimal characters; \`kumoi node key\` prints it on its machine).`, outcome: 'not-started' },
  NODE_NEEDED: { message: (d: { readonly name: string; readonly why: string; readonly remedy: string }) => `The node ${d.name} was not revoked: ${d.why}. ${d.remedy}`, outcome: 'not-started' },
  // --- connections and the HTTP door
  CLOSED: { message: (_: object) => 'This connection was closed with close(). Call connect() again.', outcome: 'not-started' },
  HTTP_ADDRESS: { message: (d: { readonly address: string }) => `"${d.address}" is no address for the HTTP door. Give PORT, HOST:PORT or [IPV6]:PORT; without a host it is this machine only.`, outcome: 'not-started' },
  HTTP_LISTEN: { message: (d: { readonly address: string; readonly reason: string }) => `The HTTP door cannot listen on ${d.address}: ${d.reason}. Choose a free port of an address of this machine (--http HOST:PORT).`, outcome: 'not-started' },
  HTTP_CERTIFICATE: { message: (d: { readonly file: string; readonly reason: string }) => `The certificate of the HTTP door cannot be used: ${d.file}: ${d.reason}. Give a PEM certificate (with its chain) and its key: --http-cert FILE --http-key FILE.`, outcome: 'not-started' },
  HTTP_PLAIN: { message: (d: { readonly address: string }) => `The HTTP door would listen on ${d.address} without TLS, where others can read and change what is sent. Give it a certificate (--http-cert FILE --http-key FILE), listen on this machine only (--http PORT), or say --http-insecure.`, outcome: 'not-started' },
  HTTP_TOKEN: { message: (d: { readonly file: string }) => `This needs the header "Authorization: Bearer TOKEN"; the token is in the file ${d.file} of the node's data directory.`, outcome: 'not-started' },
  HTTP_FOREIGN: { message: (d: { readonly header: string }) => `A request from another site was refused: its ${d.header} header names none of the addresses of this door. Ask by the address that the node listens on.`, outcome: 'not-started' },
  HTTP_ROUTE: { message: (_: object) => 'There is nothing here. POST /functions/NAME calls a function; GET /functions, /metrics and /healthz tell what there is.', outcome: 'not-started' },
  HTTP_METHOD: { message: (d: { readonly method: string; readonly allow: string }) => `${d.method} cannot be done here; ${d.allow} can.`, outcome: 'not-started' },
  HTTP_REQUEST: { message: (d: { readonly what: string; readonly expected: string }) => `The request was refused: ${d.what} must be ${d.expected}.`, outcome: 'not-started' },
  // --- service (kali/service)
  VM_REFUSED: { message: (d: { readonly vm: string; readonly doing: string; readonly reason: string; readonly remedy: string }) => `VM ${d.vm} cannot be ${d.doing}: ${d.reason}. ${d.remedy}.`, outcome: 'not-started' },
  VM_FAILED: { message: (d: { readonly vm: string; readonly machine: string; readonly reason: string }) => `VM ${d.vm} could not be set going on ${d.machine}: ${d.reason.replace(/\.$/, '')}. It was withdrawn, nothing of it is left; correct what is named and add it again.` },
  UNFINISHED: { message: (d: { readonly what: string; readonly waitedFor: string }) => `${d.what} was asked for and is under way, but the time of this call ended before ${d.waitedFor}. It goes on by itself; \`kumoi pool why\` tells how far it is.`, retryable: true, outcome: 'unknown' },
  MACHINE_REFUSED: { message: (d: { readonly machine: string; readonly doing: string; readonly reason: string; readonly remedy: string }) => `Machine ${d.machine} cannot be ${d.doing}: ${d.reason}. ${d.remedy}.`, outcome: 'not-started' },
  DRAIN_BLOCKED: { message: (d: { readonly machine: string; readonly left: readonly string[] }) => `Machine ${d.machine} is not empty yet: ${d.left.join('; ')}. It stays in mode draining; correct what is named and drain it again, or take it back into service.`, retryable: true },
  // --- placement
  SCHEDULER_UNKNOWN: { message: (d: { readonly name: string; readonly known: string; readonly near?: string }) => `There is no scheduler ${d.name}${d.near === undefined ? '' : ` (did you mean ${d.near}?)`}. There is ${d.known}; a deployed function goes by its name, and a function (vm, pms) => pm is one too.`, outcome: 'not-started' },
  SCHEDULER_INVALID: { message: (d: { readonly what: string; readonly expected: string }) => `A scheduler was refused: ${d.what} must be ${d.expected}.`, outcome: 'not-started' },
  SCHEDULER_FAILED: { message: (d: { readonly scheduler: string; readonly vm: string; readonly reason: string; readonly at?: string; readonly choice?: object }) => `The scheduler ${d.scheduler} failed for ${d.vm}: ${d.reason}${d.at === undefined ? '' : ` (${d.at})`}. Nothing was placed.`, outcome: 'failed' },
  // --- accounts (kali/account-*.ts)
  PRICES_INVALID: { message: (d: { readonly what: string; readonly expected: string }) => `The prices were refused: ${d.what} must be ${d.expected}.`, outcome: 'not-started' },
  // --- directory and names (kali/trust)
  LOGIN_REFUSED: { message: (d: { readonly name: string }) => `The login of ${d.name} was refused. Check name and password; whoever keeps the directory can tell whether the account is there and open.`, outcome: 'not-started' },
  DIRECTORY_AWAY: { message: (d: { readonly url: string; readonly reason: string }) => `The directory ${d.url} could not be asked: ${d.reason}. Nobody can log in until it answers; those who are logged in stay so until their token ends. "kumoi trust ldap test" tells where it fails.`, retryable: true, outcome: 'not-started' },
  DIRECTORY_NONE: { message: (_: object) => 'This fabric has no directory of users. "kumoi trust ldap set" names one.', outcome: 'not-started' },
  DIRECTORY_SETTINGS: { message: (d: { readonly what: string; readonly expected: string }) => `These settings of the directory cannot be: ${d.what} must be ${d.expected}. "kumoi trust ldap set" sets them.`, outcome: 'not-started' },
  TRUST_NAME: { message: (d: { readonly what: 'user' | 'group'; readonly expected: string; readonly name?: string }) => `${d.name === undefined ? 'This' : `"${d.name}"`} cannot be the name of a ${d.what}: it must be ${d.expected}.`, outcome: 'not-started' },
})
