// Bounds of the microkernel: frames, links, calls, stored bytes, members, tickets.
// One row each: unit in the name, default, reason. Part of LIMITS (../limits.ts).

import { KiB, MiB } from './units.ts'

export const FABRIC_LIMITS = {
  // --- wire
  /** One frame on any link; larger messages are fragmented above it. hyperswarm alone would allow 16 MiB. */
  frameBytesMax: MiB,
  /** Fragment of a long stream message: small enough that a call waits at most one of them behind bulk. */
  fragmentBytesMax: 256 * KiB,
  /** One reassembled stream message. Bigger values are refused, not buffered. */
  messageBytesMax: 64 * MiB,
  /** CBOR profile of control records (reliability.md 4.1): nesting, items, one string, one big integer. */
  cborDepthMax: 32,
  cborItemsMax: 65_536,
  cborStringBytesMax: 256 * KiB,
  cborBigintBytesMax: 64,
  /** What makes decoding slow, per control record, so that none takes over 10 ms: maps (1-2 us each when all differ in shape), map entries, different keys (2 us), texts beyond ASCII (0.7 us). */
  cborMapsMax: 4_096,
  cborMapEntriesMax: 16_384,
  cborKeysMax: 4_096,
  cborWideTextsMax: 8_192,
  /** Long messages sent in turns per lane, and their bytes together: what a receiver may have to hold half-received. */
  interleavedMessagesMax: 8,
  interleavedBytesMax: 128 * MiB,
  /** CBOR profile of user values, decoded only in isolates and in the shell that asked for them. */
  valueDepthMax: 200,
  valueItemsMax: 8_000_000,
  valueBigintBytesMax: 4 * KiB,
  // --- stopping
  /** One part of a node that stops; one that takes longer is named in the log and left behind. Above what any takes that does its work: a leave, a last write. */
  stopStepMs: 3_000,
  // --- connections
  /** Connections that have not finished the hello; one more is refused at once. */
  pendingHandshakesMax: 64,
  /** Of those, by one source address at a time: a quarter is always left for others. Who is turned away dials again. */
  pendingPerSourceMax: 48,
  /** New handshakes per source address and second. */
  handshakesPerSourcePerSecond: 10,
  /** Handshakes one source may start in a burst (a node that restarts is dialled by all members behind one address). */
  handshakeBurst: 64,
  /** Source addresses whose handshake rate is remembered. */
  handshakeSourcesMax: 1_024,
  /** One frame before the hello is accepted; certificates and addresses fit several times over. */
  helloBytesMax: 16 * KiB,
  /** Addresses in a hello or ticket, and characters in one. */
  addressesMax: 8,
  addressCharsMax: 80,
  /** One attempt to connect by TCP; after it the overlay (UDX) is tried beside it. */
  tcpDialTimeoutMs: 1_000,
  /** dial() without a bound of its own. */
  dialTimeoutMs: 5_000,
  /** First pause between attempts within one dial, doubled each time up to a second. */
  dialRetryMs: 100,
  /** An idle link is pinged this often, and given up as lost after this much silence. Membership is quicker. */
  linkPingMs: 5_000,
  linkSilenceMs: 20_000,
  /** Redial that tells a dead process (refused) from a cut path; also the longest an ended link waits for its reason. */
  resetProbeMs: 500,
  resetProbePauseMs: 20,
  /** Plaintext of one encrypted record on a TCP link: bigger frames are cut so that both ends' ciphers overlap. */
  recordBytes: 64 * KiB,
  /** Frames kept while a lane moves from one stream of a link to another; more cuts the link. */
  laneHoldBytesMax: 4 * MiB,
  /** Gossip held for the end of what came before it; then it goes on without (a probe answers within about this). */
  gossipHoldMs: 100,
  /** A second stream of the same kind (both sides dialled at once) is closed after it was idle this long. */
  spareStreamMs: 2_000,
  /** Helper DHT nodes beside the founder's own: a DHT of one node stores nothing. */
  dhtHelpers: 2,
  /** Connections the overlay opens by itself to discovered peers, and peers it remembers. */
  swarmPeersMax: 64,
  swarmPeersKnownMax: 1_024,
  /** Members written down for the next start, and named in a ticket (its issuer included). */
  membersRememberedMax: 32,
  /** Changes gathered before what is remembered of the fabric is written down. */
  rememberDelayMs: 1_000,
  ticketMembers: 3,
  /** Goodbyes and the overlay's unannouncing at close; then everything is destroyed. */
  transportCloseMs: 800,
  transportCutMs: 200,
  /** From connection to a complete, valid hello. */
  helloTimeoutMs: 3_000,
  /** From a frame's first byte to its last (slow-drip peers). */
  frameTimeoutMs: 10_000,
  /** Calls in flight per connection and direction; one more is answered "busy". */
  callsInFlightMax: 256,
  /** Shells connected to a node's local socket at once; further ones are turned away. */
  localConnectionsMax: 256,
  /** A closing local socket may take this long to say what is queued. */
  socketFlushTimeoutMs: 1_000,
  /** Unsent bytes per connection before writers wait. */
  unsentBytesMax: 4 * MiB,
  /** Small frames waiting behind a stuck connection; above it the peer floods us without reading and is cut off. */
  queuedFramesMax: 8_192,
  /** Writes of one stream that wait for credit; one more is refused. */
  pendingWritesMax: 1_024,
  /** Stream credit: bytes that may be under way per stream and direction. */
  streamCreditBytes: 4 * MiB,
  /** Outcomes kept for idempotency keys: how long, and how many. */
  idempotencyWindowMs: 60_000,
  idempotencyEntriesMax: 4_096,
  idempotencyBytesMax: 64 * MiB,
  /** Deadlines are checked in steps of this: one timer per connection instead of one per call. */
  deadlineStepMs: 10,
  // --- calls
  /** Deadline of a call that names none. */
  callTimeoutMs: 30_000,
  /** Longest deadline accepted. */
  callTimeoutMsMax: 24 * 3_600_000,
  /** Whole map (dmap, ...) that names no timeout: long enough for a fleet-wide command, short enough to end. */
  mapTimeoutMs: 600_000,
  /** Nested calls a call may cause, one below the other. */
  hopsMax: 8,
  // --- stores
  /** Code and environment blobs kept in memory, and on disk. */
  blobMemoryBytes: 64 * MiB,
  blobDiskBytes: 1024 * MiB,
  /** One blob; bigger data travels as several. */
  blobBytesMax: 64 * MiB,
  /** One piece of a blob on the wire: below fragmentBytesMax, so it is one frame. */
  blobChunkBytes: 192 * KiB,
  // --- membership
  /** Live members of one fabric; a view beyond that would need partial views (HyParView), not more memory. */
  membersMax: 4_096,
  /** Dead and left members remembered; the longest gone is forgotten first. */
  tombstonesMax: 1_024,
  /** Records waiting to be passed on; anti-entropy carries what does not fit. */
  gossipNewsMax: 8_192,
  /** One gossip frame, and the news that may ride on a probe (one packet, so that probes stay quick). */
  gossipFrameBytesMax: 8_000,
  gossipRiderBytesMax: 1_100,
  /** Hashes of a view digest: 256 bytes, and one difference costs 1/64 of the view. */
  digestBuckets: 64,
  /** Probes that a node makes at once for others, and dials of the membership layer under way or planned. */
  gossipRelaysMax: 256,
  gossipDialsInFlightMax: 8,
  gossipDialsMax: 256,
  /** Links that one piece of urgent own news (suspicion, refutation, leave) is sent to at once. */
  gossipUrgentLinksMax: 32,
  /** Texts in a member record. */
  memberNameBytesMax: 64,
  memberAddressesMax: 8,
  memberAddressBytesMax: 64,
  /** One refutation or restart each; far above what a life can use, far below where numbers lose precision. */
  incarnationMax: 2 ** 40,
  // --- tickets
  ticketLifetimeMs: 24 * 3_600_000,
  /** A ticket is a key to the door: a month is the longest it may lie about. */
  ticketLifetimeMsMax: 30 * 24 * 3_600_000,
  /** Longest ticket read; eight certificates and sixteen addresses fit. */
  ticketCharsMax: 8_192,
  /** Certificates from the founder to a node. */
  chainDepthMax: 8,
} as const
