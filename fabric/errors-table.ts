// Error table of the fabric: FABRIC_ERR_*. ERRORS.md has the same rows.
//
// Messages say what happened, to what, and what to do. Callers compare codes, never text.

import { defineErrors } from './errors.ts'

/** Unused in a sandbox, and so left out of its bundle. */
export const FABRIC = /* @__PURE__ */ defineErrors('FABRIC_ERR', {
  // membership
  BAD_GOSSIP: {
    message: (d: { reason: string; offset: number; bytes: number }) => `A membership message of ${d.bytes} bytes was refused at byte ${d.offset}: ${d.reason}. It was dropped; compare the versions of both nodes.`,
  },

  // transport
  /** `refused`: the peer's system answered that nobody listens; membership takes it as strong evidence. */
  UNREACHABLE: {
    message: (d: { node: string; reason: string; refused?: boolean }) => `Node ${d.node.slice(0, 8)} could not be reached: ${d.reason}. Check that it runs and that no firewall is between.`,
    retryable: true,
    outcome: 'not-started',
  },

  // rpc
  /** Encoding: the body holds something that control records cannot carry. */
  BODY_NOT_PLAIN: {
    message: (d: { what: string; reason: string }) => `${d.what} cannot be sent: ${d.reason}. Bodies hold null, booleans, numbers, bigints, strings, Uint8Array, arrays and plain objects; send user values as encoded bytes.`,
    outcome: 'not-started',
  },
  MESSAGE_TOO_LARGE: {
    message: (d: { what: string; bytes: number; bytesMax: number }) => `${d.what} is ${d.bytes} bytes, more than the ${d.bytesMax} allowed. Send it in pieces over a stream, or as a blob.`,
    outcome: 'not-started',
  },
  /** Decoding: bytes from the other side are not a record of the profile. */
  RECORD_REFUSED: {
    message: (d: { reason: string; offsetBytes: number }) => `A received record was refused at byte ${d.offsetBytes}: ${d.reason}. The sender is broken or hostile; compare its version.`,
  },
  PROTOCOL: {
    message: (d: { reason: string }) => `The peer broke the wire protocol: ${d.reason}. The connection was closed; compare the versions of both nodes.`,
    outcome: 'unknown',
  },
  PEER_GONE: {
    message: (d: { peer: string; method: string; reason: string }) => `The connection to ${d.peer} ended before ${d.method} was answered (${d.reason}). Check whether it took effect before repeating it.`,
    retryable: true,
    outcome: 'unknown',
  },
  DEADLINE: {
    message: (d: { peer: string; method: string; timeoutMs: number }) => `${d.method} on ${d.peer} did not end within ${d.timeoutMs} ms. Check whether it took effect; give it more time if it needs it.`,
    outcome: 'unknown',
  },
  CANCELLED: {
    message: (d: { method: string; reason: string }) => `${d.method} was cancelled: ${d.reason}. Nothing more is done for it; it may have taken effect in part.`,
    outcome: 'unknown',
  },
  BUSY: {
    message: (d: { what: string; limit: number }) => `${d.what} is at its limit of ${d.limit}. Nothing was done; try again when earlier work has ended.`,
    retryable: true,
    outcome: 'not-started',
  },
  UNKNOWN_METHOD: {
    message: (d: { method: string }) => `This node has no method "${d.method}". Compare the versions of both nodes.`,
    outcome: 'not-started',
  },
  TOO_MANY_HOPS: {
    message: (d: { method: string; hop: number; hopsMax: number }) => `${d.method} would be call number ${d.hop} below the first, more than the ${d.hopsMax} allowed. Look for functions that call each other in a circle.`,
    outcome: 'not-started',
  },
  HANDLER_THREW: {
    message: (d: { method: string }) => `${d.method} failed with an error that has no code. Its name, message and stack are those of the original; look there.`,
  },
  STREAM_ENDED: {
    message: (d: { method: string; reason: string }) => `The stream of ${d.method} takes no more messages: ${d.reason}. Stop writing when the other side has ended.`,
  },
  IDEMPOTENT_STREAM: {
    message: (d: { method: string }) => `${d.method} is a stream, and streams take no idempotency key. Use a call, or put the key in the body.`,
    outcome: 'not-started',
  },
  LINK_LOST: {
    message: (d: { peer: string; reason: string }) => `The link to ${d.peer} was lost: ${d.reason}. Calls under way may have taken effect; look at "kumoi nodes".`,
    retryable: true,
    outcome: 'unknown',
  },
  // local socket
  NO_NODE: {
    message: (d: { path: string }) => `No node listens on ${d.path}. Start one with "kumoi up", or name its directory with --data, or its users' socket with --socket.`,
    outcome: 'not-started',
  },
  DATA_DIRECTORY: {
    message: (d: { data: string; reason: string }) =>
      `The data directory ${d.data} cannot be used: ${d.reason}. Make it writable, or name another with --data DIR or KUMOI_DATA.`,
    outcome: 'not-started',
  },
  STORE_FAILED: {
    message: (d: { path: string; reason: string }) =>
      `The local store ${d.path} failed: ${d.reason}. Check the disk's room and permissions; what was being written is not there.`,
    outcome: 'failed',
  },
  STORE_UNREACHABLE: {
    message: (d: { store: string; reason: string }) => `The global store (${d.store}) cannot be reached: ${d.reason.replace(/\.$/, '')}. Functions already deployed go on; changes wait until it is back.`,
    retryable: true, outcome: 'unknown',
  },
  STORE_COMPACTED: {
    message: (d: { revision: number; oldest: number }) => `Changes after revision ${d.revision} are no longer kept (oldest: ${d.oldest}). Read the keys again and watch from there.`,
    outcome: 'not-started',
  },
  STORE_LEASE_GONE: { message: (d: { lease: string }) => `Lease ${d.lease} has ended; what it held is gone. Take a new one.`, outcome: 'not-started' },
  /** Caught on the way (store/open.ts): the call goes on at the new place. */
  STORE_MOVED: { message: (d: { store: string }) => `The global store (${d.store}) has moved, or is moving. Ask again: the node follows it by itself.`, retryable: true, outcome: 'not-started' },
  STORE_MEMBERS_ONLY: { message: (d: { method: string }) => `${d.method} is for members of the fabric. Use functions and their state, or "kumoi store status".`, outcome: 'not-started' },
  STORE_INVALID: { message: (d: { what: string; expected: string; got: string }) => `The store was asked for something that it does not do: ${d.what} must be ${d.expected}, got ${d.got}.`, outcome: 'not-started' },
  STORE_FULL: { message: (d: { bytes: number; bytesMax: number }) => `The global store holds ${d.bytes} of at most ${d.bytesMax} bytes. Remove functions, state or dead letters that nobody needs.`, outcome: 'not-started' },
  STORE_URL: { message: (d: { url: string; reason: string }) => `${d.url} is no global store: ${d.reason}. Write etcd://host:port,host:port, or leave --store out.`, outcome: 'not-started' },
  SOCKET_TAKEN: {
    message: (d: { path: string }) => `A running node already listens on ${d.path}. Stop it with "kumoi down", or choose another directory with --data.`,
    outcome: 'not-started',
  },
  SOCKET_PATH: {
    message: (d: { path: string; reason: string }) => `The socket ${d.path} cannot be used: ${d.reason}. Choose a shorter path or another directory with --data.`,
    outcome: 'not-started',
  },
  FRAME_TOO_LARGE: {
    message: (d: { bytes: number; bytesMax: number }) => `A frame of ${d.bytes} bytes was announced, more than the ${d.bytesMax} allowed. The connection was closed; compare the versions of both ends.`,
    outcome: 'unknown',
  },
  FRAME_TIMEOUT: {
    message: (d: { timeoutMs: number }) => `A frame was begun and not finished within ${d.timeoutMs} ms. The connection was closed; the other end or the path to it is stuck.`,
    outcome: 'unknown',
  },

  // blob
  BLOB_MISSING: {
    message: (d: { hash: string; node: string }) => `${d.node} does not hold blob ${d.hash.slice(0, 12)}. Ask another node, or send it again from where it was made.`,
    retryable: true,
  },
  BLOB_MISMATCH: {
    message: (d: { hash: string; node: string }) => `The bytes from ${d.node} are not blob ${d.hash.slice(0, 12)}: their SHA-256 differs. They were thrown away; check that node's disk and memory.`,
    retryable: true,
  },
  BLOB_TOO_LARGE: {
    message: (d: { hash: string; bytesMax: number }) => `Blob ${d.hash.slice(0, 12)} is larger than the ${d.bytesMax} bytes allowed. Split the data.`,
  },
  // identity
  TICKET_MALFORMED: {
    message: (d: { why: string }) => `This is not a whole ticket: ${d.why}. Copy the one word that "kumoi ticket" printed again, from kumoi1 to its end.`,
    outcome: 'not-started',
  },
  TICKET_ALTERED: {
    message: (d: { fabric: string }) => `The ticket for fabric ${d.fabric.slice(0, 8)} was altered after it was signed. Ask a member for a new one ("kumoi ticket").`,
    outcome: 'not-started',
  },
  TICKET_EXPIRED: {
    message: (d: { expiredAtMs: number; judgedAtMs: number }) => `The ticket expired at ${new Date(d.expiredAtMs).toISOString()}; the admitting member's clock says ${new Date(d.judgedAtMs).toISOString()}. Ask a member for a new one ("kumoi ticket"), and check the clocks if it is new.`,
    outcome: 'not-started',
  },
  TICKET_LIFETIME: {
    message: (d: { lifetimeMs: number; lifetimeMsMax: number }) => `A ticket cannot last ${d.lifetimeMs} ms: more than nothing and at most ${d.lifetimeMsMax} ms (30 days). Make a new one when it is needed.`,
    outcome: 'not-started',
  },
  TICKET_FOREIGN: {
    message: (d: { ticketFabric: string; fabric: string }) => `The ticket is for fabric ${d.ticketFabric.slice(0, 8)}, and this member belongs to fabric ${d.fabric.slice(0, 8)}. Ask a member of the fabric you mean for a ticket.`,
    outcome: 'not-started',
  },
  TICKET_BOUND: {
    message: (d: { subject: string; joiner: string }) => `The ticket is for the key ${d.subject.slice(0, 8)}, and this machine has the key ${d.joiner.slice(0, 8)}. Use it there, or ask for one for this key: \`kumoi node key\` prints it.`,
    outcome: 'not-started',
  },
  REVOKED: {
    message: (d: { node: string; by: string; reason: string }) => `Node ${d.node.slice(0, 8)} was revoked by ${d.by} (${d.reason === '' ? 'no reason was given' : d.reason}): no member of the fabric speaks with it. An administrator takes that back on another member: \`kumoi node admit ${d.node}\`.`,
    outcome: 'not-started',
  },
  REVOKED_ADMISSION: {
    message: (d: { node: string; admitter: string }) => `Node ${d.node.slice(0, 8)} was admitted by ${d.admitter.slice(0, 8)}, which was revoked, and was no member before that. If it is to be one: \`kumoi node admit ${d.node}\` on a member prints a ticket for it.`,
    outcome: 'not-started',
  },
  FABRIC_FOREIGN: {
    message: (d: { ticketFabric: string; fabric: string }) => `This node's data directory already belongs to fabric ${d.fabric.slice(0, 8)}, so it cannot join fabric ${d.ticketFabric.slice(0, 8)}. Choose another data directory (--data DIR), or start without --join.`,
    outcome: 'not-started',
  },
  FABRIC_MISSING: {
    message: (d: { dataDir: string }) => `The data directory ${d.dataDir} belongs to no fabric yet. Found one (kumoi up), or join one with a ticket (kumoi up --join TICKET).`,
    outcome: 'not-started',
  },
  IDENTITY_DAMAGED: {
    message: (d: { file: string; why: string }) => `The identity file ${d.file} cannot be used: ${d.why}. Restore it from a copy, or move the data directory away and join again with a new ticket.`,
    outcome: 'not-started',
  },
  CERTIFICATE_INVALID: {
    message: (d: { node: string; why: string }) => `Node ${d.node.slice(0, 8)} is not a certified member: ${d.why}. Join it with a ticket of this fabric.`,
    outcome: 'not-started',
  },
  CHAIN_TOO_LONG: {
    message: (d: { depthMax: number; node: string }) => `Node ${d.node.slice(0, 8)} cannot admit another: certificate chains end at ${d.depthMax} links. Use a ticket made by the founder or a node nearer to it.`,
    outcome: 'not-started',
  },
  NAME_TAKEN: {
    message: (d: { name: string; holder: string }) => `Another live member (${d.holder.slice(0, 8)}) already has the name "${d.name}". Start with another --name, or stop that member.`,
    outcome: 'not-started',
  },
  HELLO_INVALID: {
    message: (d: { peer: string; why: string }) => `The hello of ${d.peer.slice(0, 8)} was refused: ${d.why}. Run the same Kumoi version on both nodes; if they are the same, something else speaks on this port.`,
    outcome: 'not-started',
  },
  HELLO_FOREIGN: {
    message: (d: { peer: string; peerFabric: string; fabric: string }) => `Node ${d.peer.slice(0, 8)} belongs to fabric ${d.peerFabric.slice(0, 8)}, not ${d.fabric.slice(0, 8)}. Check the address, or join it with a ticket of this fabric.`,
    outcome: 'not-started',
  },
  HELLO_VERSION: {
    message: (d: { peer: string; protocol: number; ours: number }) => `Node ${d.peer.slice(0, 8)} speaks protocol ${d.protocol}, this node ${d.ours}. Run the same Kumoi version on both.`,
    outcome: 'not-started',
  },
  // transport, continued
  LISTEN_FAILED: {
    message: (d: { address: string; why: string }) => `Cannot listen on ${d.address}: ${d.why}. Choose an address of this machine and a free port (--listen HOST:PORT).`,
    outcome: 'not-started',
  },
  JOIN_FAILED: {
    message: (d: { fabric: string; addresses: readonly string[]; why: string }) => `No member of fabric ${d.fabric.slice(0, 8)} answered at ${d.addresses.join(', ') || 'any address'}: ${d.why}. Check that one of them runs and that its TCP and UDP ports are open from here, or get a newer ticket.`,
    retryable: true, outcome: 'not-started',
  },
  TRANSPORT_CLOSED: {
    message: (d: { node: string }) => `The transport of node ${d.node.slice(0, 8)} is closed. Start the node again.`,
    outcome: 'not-started',
  },
  // node
  NAME_INVALID: {
    message: (d: { name: string }) => `"${d.name}" is no name for a node. Use 1 to 63 letters, digits, dots, dashes or underscores, beginning with a letter or digit.`,
    outcome: 'not-started',
  },
  LISTEN_INVALID: {
    message: (d: { listen: string }) => `"${d.listen}" is no address to listen on. Give HOST or HOST:PORT, such as 10.0.0.1 or 10.0.0.1:7400.`,
    outcome: 'not-started',
  },
  LOCAL_ONLY: {
    message: (d: { method: string }) => `${d.method} is for shells on the node's own machine. Run kumoi there.`,
    outcome: 'not-started',
  },
})
