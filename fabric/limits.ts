// Every bound in the system: unit in the name, default, reason. Nothing queues, caches, waits,
// retries or grows without a line here.

const KiB = 1024
const MiB = 1024 * KiB

export const LIMITS = {
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
  // --- connections
  /** Connections that have not finished the hello; one more is refused at once. */
  pendingHandshakesMax: 64,
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
  // --- functions
  /** Captured values: warn, and refuse. */
  environmentWarnBytes: 64 * KiB,
  environmentBytesMax: 16 * MiB,
  /** Source text of one captured function with everything it calls. */
  codeBytesMax: 4 * MiB,
  /** Distinct source texts whose analysis capture keeps (about 2 KiB each); the oldest goes first. */
  captureAnalysesMax: 2_048,
  /** Encoded result of one element. */
  resultBytesMax: 16 * MiB,
  /** Host calls (pm.exec, ...) one invocation may make, and how many at once. */
  hostCallsMax: 10_000,
  hostCallsInFlightMax: 64,
  /** Encoded arguments of one host call. */
  hostCallBytesMax: 256 * KiB,
  /** Console output kept per invocation. */
  consoleBytesMax: 64 * KiB,
  /** Isolate heap; cell resident size above which the supervisor kills it. */
  heapLimitMiB: 64,
  cellResidentMiBMax: 512,
  /** CPU time of one chunk. */
  cpuTimeMsMax: 60_000,
  /** From "should have ended" to SIGKILL of the cell. */
  killGraceMs: 250,
  /** Cells of all principals on one node, and how long an idle one is kept. */
  cellsMax: 16,
  cellIdleMs: 300_000,
  /** Warm isolates per worker (least recently used goes first) and ready-made spares. */
  warmIsolatesPerWorkerMax: 32,
  spareIsolatesPerWorker: 1,
  /** Cells started ahead, for the next principal or the next kill. */
  spareCells: 1,
  /** From a cell's first use to the start of the next spare: the user's call goes first. */
  spareDelayMs: 100,
  /** Start of a cell, spawn to ready; a machine under load takes several times the usual 0.2 s. */
  cellStartTimeoutMs: 10_000,
  /** A chunk expected to take less, from its plan's last run, runs on the lane's own thread. */
  runHereMs: 1,
  /** Runs of one lane that have begun (one uses the CPU, the others wait for answers). */
  jobsPerLaneMax: 16,
  /** Plans known to a lane by number; the least recently used is forgotten. */
  plansPerLaneMax: 256,
  /** Code and environments kept by a lane for linking again; what was dropped is asked for again. */
  laneBlobBytes: 32 * MiB,
  /** One frame between kernel and cell; above messageBytesMax by the room for result headers. */
  cellFrameBytesMax: 72 * MiB,
  /** After the deadline: time an isolate has to hand over what has settled, before it is disposed. */
  flushGraceMs: 80,
  /** How often a busy isolate's CPU time, and a busy cell's resident size, are looked at. */
  cpuPollMs: 25,
  residentPollMs: 50,
  /** Idle time of a lane after which its isolates are asked whether they are really at rest. */
  quiesceDelayMs: 20,
  /** Runs again of parts of one job whose cell or isolate died. */
  rerunsMax: 24,
  /** Answers kept per job for such runs. Above it the job is not run again but fails. */
  journalBytesMax: 16 * MiB,
  /** Text of one npm package bundled for sandboxes, and how many are kept. */
  packageBytesMax: 8 * MiB,
  packagesCachedMax: 64,
  /** Chunk jobs waiting for one cell; one more is answered "busy". */
  cellQueueMax: 1_024,
  /** A function that killed this many cells within the window is refused for as long. */
  quarantineKills: 3,
  quarantineMs: 60_000,
  /** Adaptive chunking: aimed-at time of one chunk, and the most items in one. */
  chunkTargetMs: 20,
  chunkItemsMax: 65_536,
  /** Input window of one map: items and bytes read ahead of the results. */
  windowItems: 262_144,
  windowBytes: 16 * MiB,
  /** Times a data chunk is moved away from a node that died under it. */
  chunkReschedulesMax: 3,
  // --- resource-mapped objects
  /** Processor figures: a sample (stat, meminfo, loadavg) costs 0.1-0.25 ms, so one a second is 0.02 % of a core; cpuRatio is over the window. */
  cpuSampleMs: 1_000,
  cpuWindowMs: 5_000,
  /** Output of one exec that is kept by default and at most, and how much more is read and dropped before the program is killed. */
  execOutputBytes: MiB,
  execOutputBytesMax: 8 * MiB,
  execDrainBytesMax: 64 * MiB,
  /** Standard input of one exec: an argument, so no longer than a string of the arguments' profile (cborStringBytesMax). */
  execInputBytesMax: 256 * KiB,
  /** Programs started by exec at once on one node. */
  execsInFlightMax: 64,
  /** From the end of a program to the end of its output, which a background child may hold open. */
  execOutputGraceMs: 250,
  /** readFile: bytes by default and at most (a result must fit a message with room to spare). */
  fileReadBytes: MiB,
  fileReadBytesMax: 8 * MiB,
  /** Mounts and devices in one stats() answer, and the wait for a file system that does not answer. */
  statsEntriesMax: 256,
  statsWaitMs: 1_000,
  /** Watches served by one node, and events kept for a watcher that is slow (the oldest go first and are counted). */
  watchesMax: 256,
  watchQueueMax: 256,
  /** Pause before a watch is opened again after its home was lost: doubles from, up to. */
  watchReopenMs: 500,
  watchReopenMsMax: 10_000,
  /** Nodes asked at once by rmo.list, and how long one may take. */
  listFanOutMax: 64,
  listTimeoutMs: 5_000,
  /** Known homes of moved objects (least recently used go first), and how often one call follows a move. */
  directoryEntriesMax: 16_384,
  movedFollowsMax: 3,
  /** Forwarding addresses a node keeps of objects that moved away; the oldest goes first. */
  movedForwardsMax: 4_096,
  /** Changes whose outcome is kept for whoever asks again with the same operation id, and how long. */
  operationsMax: 1_024,
  operationWindowMs: 60_000,
  operationCharsMax: 64,
  /** Audit records kept per node and given in one answer; the oldest go first. */
  auditRecordsMax: 100_000,
  auditAnswerMax: 1_000,
  /** Audit records and counters gathered before they are written; more make a change wait for the disk. */
  ledgerFlushMs: 1_000,
  ledgerPendingMax: 4_096,
  /** Principals whose use of one object is counted apart (further ones share a row), and rules of one object. */
  accountPrincipalsMax: 256,
  aclRulesMax: 256,
  /** How often what objects use by themselves (vmSeconds, ...) is added up. */
  accountTickMs: 10_000,
  /** Simulated machines on one node, and VMs of each at its start. */
  fleetHostsMax: 10_000,
  /** Bytes of a console that its reader has not taken; more end the stream. */
  byteStreamBacklogBytes: MiB,
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
  // --- shell
  /** A console without a terminal ends when its input has ended and the guest has been quiet this long. */
  consoleQuietMs: 1_000,
  /** `--watch` of kinds without events, and the look for machines that joined. */
  objectPollMs: 2_000,
  /** After Ctrl-C: how long clean-up may take before the shell leaves anyway. */
  interruptGraceMs: 2_000,
  /** After Ctrl-C or --timeout: how long the answers that did come back may take to be put together. */
  interruptSettleMs: 500,
  /** One Ctrl-C may arrive twice, from the terminal and from the launcher: within this it is one. */
  interruptRepeatMs: 100,
  /** Progress is shown for work that takes longer than this, and redrawn no more often than every ... */
  progressDelayMs: 500,
  progressRedrawMs: 100,
  /** From `kumoi up --detach` to the node's "ready"; it includes founding or joining a fabric. */
  nodeStartTimeoutMs: 60_000,
  /** Start-up messages of a detached node kept while it has not yet said "ready". */
  readyLineBytesMax: 64 * KiB,
  /** Lines of REPL history kept on disk. */
  historyEntriesMax: 1_000,
  /** Failures shown in the table under a partial result; the rest are counted. */
  failuresShownMax: 20,
  /** Nesting and elements of one result shown to people; JSON has everything. */
  inspectDepthMax: 6,
  inspectItemsMax: 1_000,
  /** Rows whose widths decide a table's columns (the rest are cut to fit on a terminal). */
  tableSampleRowsMax: 10_000,
  /** From SIGTERM to SIGKILL of the tour's nodes. */
  tourStopGraceMs: 4_000,
  /** One step of the tour. */
  tourStepTimeoutMs: 30_000,
  // --- libvirt's texts, storage and networks
  /** One text from a hypervisor: libvirt's own bound for a string on its wire is 4 MiB. */
  xmlCharsMax: 4 * MiB,
  /** A domain nests 8 deep; libvirt puts no bound on metadata. */
  xmlDepthMax: 64,
  /** Texts of one sort whose meaning a thread remembers, so that an inventory of unchanged things parses little: 1 ms and 5 KiB a domain. */
  definitionsRememberedMax: 1_024,
  /** Progress of a volume copy is looked at this often; a stat of one file. */
  copyProgressMs: 200,
  /** Bytes given to one call of a volume upload. */
  uploadChunkBytes: 256 * KiB,
  // --- switches
  /** One OVSDB message: the first answer of a monitor holds every row; a switch of 4,096 ports has about 4 MiB. */
  ovsdbMessageBytesMax: 16 * MiB,
  /** OVSDB calls under way; one more is refused. */
  ovsdbCallsMax: 256,
  /** After this long without a byte from the OVSDB server it is asked for an echo; after so many unanswered it is given up. */
  ovsdbEchoMs: 5_000,
  ovsdbEchoesMax: 2,
  /** Pause before connecting to the OVSDB server again: doubles from, up to. */
  ovsdbReconnectMs: 200,
  ovsdbReconnectMsMax: 5_000,
  /** Output of one ip or tc; 4,096 links have about 6 MiB. */
  iprouteOutputBytesMax: 16 * MiB,
  /** One reading of the links when nobody's deadline is shorter. */
  iprouteTimeoutMs: 5_000,
  /** Pause before `ip monitor` is started again after it ended: doubles from, up to. */
  ipMonitorRestartMs: 500,
  ipMonitorRestartMsMax: 10_000,
  /** Changes that come together are told as one: link changes come in bursts of several lines. */
  switchSettleMs: 20,
  // --- hosts of virtual machines (rmo/host)
  /** Everything is read again at least this often, whatever events said; one inventory of 100 domains takes some 20 ms. */
  hostResyncMs: 10_000,
  /** Events that come together cause one reading this much later. */
  hostCoalesceMs: 15,
  /** A state that differs from the last event told is told as an event itself when it still differs after this: the event may only be late. */
  hostEventGraceMs: 250,
  /** Figures of all VMs, one call to the hypervisor; cpuRatio is over the window. */
  hostSampleMs: 1_000,
  hostCpuWindowMs: 5_000,
  /** One reading (inventory, statistics, facts) of a hypervisor. */
  hostReadTimeoutMs: 10_000,
  /** How long a driver may go on after a call's deadline or its cancellation before the host gives it up: locks must come free. */
  hostGuardGraceMs: 3_000,
  /** First pause before facts are asked for again after a failure. */
  hostRetryMs: 1_000,
  /** Changes waiting for one object or one name. */
  hostQueueMax: 64,
  /** stop() without timeoutMs, and what its call may take beside the wait. */
  vmStopTimeoutMs: 30_000,
  vmStopReserveMs: 5_000,
  /** Undoing what a failed change has made: independent of the caller's deadline, which may be why it failed. */
  vmUndoTimeoutMs: 30_000,
  /** Longest clone (a full copy), migration, save and snapshot. */
  vmCopyTimeoutMs: 3_600_000,
  /** Text kept of one VM's serial console, and the longest wait of one serial() by default. */
  vmSerialBytes: 64 * KiB,
  vmSerialTimeoutMs: 5_000,
  /** A console is let go this long after the last question; the hypervisor gives it to one reader at a time. */
  vmSerialIdleMs: 60_000,
  /** One question of one side of a migration to the other. */
  migrationAskTimeoutMs: 10_000,
  /** An announced VM that has not come is asked after at the source this often, and half-done migrations are looked at again. */
  migrationSettleMs: 10_000,
  /** Migrations under way per host, either direction, and notes of ended ones kept for info(). */
  migrationsMax: 16,
  migrationNotesMax: 1_024,
  // --- images, disks and seeds
  /** qemu-img, cp and xorrisofs at once on one host, and those waiting; each is one process of some ten milliseconds to minutes. */
  diskToolsInFlightMax: 4,
  diskToolsQueuedMax: 1_024,
  /** One tool whatever the caller's own deadline; a full copy of a large disk is the longest. */
  diskToolTimeoutMs: 3_600_000,
  /** Files from a disk down to its last base. QEMU opens them all, and reads of old data pass through each. */
  backingChainMax: 16,
  /** Read of a qcow2 file to know it: its header, and its table of tables (1 MiB covers 8 TiB of 64 KiB clusters). */
  qcow2HeadBytesMax: 64 * KiB,
  qcow2TableBytesMax: MiB,
  /** One sidecar file (*.image.json, *.disk.json); longer ones are not ours. */
  diskNoteBytesMax: 16 * KiB,
  /** Files of one pool's directory looked at for sidecars and unfinished files. */
  poolEntriesMax: 65_536,
  imageNameCharsMax: 63,
  imageDescriptionCharsMax: 1_024,
  /** Disks promised to VMs that are not defined yet; the oldest promise goes first. */
  diskClaimsMax: 4_096,
  /** Taking back what a failed change had made: some removals, on a slow file system. */
  undoTimeoutMs: 30_000,
  /** What a guest is told: all files of a seed together; cloud-init's own sources bound user-data at 16 KiB to some MiB. */
  seedBytesMax: MiB,
  // --- assignments to objects (rmo/assignments.ts)
  /** Different objects with assignments outstanding or failed and untold, in one program. */
  assignedObjectsMax: 4_096,
  /** Failures of assignments to objects that could not be found, kept until somebody asks. */
  untoldFailuresMax: 64,
  // --- libvirt
  /** Threads of one driver that wait in libvirt, and how many of them may hold calls of minutes (migration, save, copy): short calls always find one. libvirtd itself runs 20. */
  libvirtThreadsMax: 8,
  libvirtLongCallsMax: 5,
  /** Threads written off because their call outlived its deadline; a thread stuck in C cannot be stopped. */
  libvirtThreadsLostMax: 8,
  /** Calls waiting for a thread; one more is answered "busy". */
  libvirtQueueMax: 1_024,
  /** A short call's deadline when its caller's is longer: reads and state changes answer in milliseconds, QEMU's start in under a second. */
  libvirtCallTimeoutMs: 30_000,
  /** One attempt to connect, greeting included. */
  libvirtOpenTimeoutMs: 10_000,
  /** Pause before the next attempt: doubles from, up to. */
  libvirtReconnectMs: 250,
  libvirtReconnectMsMax: 5_000,
  /** libvirt's keep-alive: a daemon silent for interval x (count + 1) is given up; it answers from its main loop, also when all its workers are stuck. */
  libvirtKeepAliveSeconds: 3,
  libvirtKeepAliveCount: 3,
  /** At close: how long calls under way may take before they are left behind. */
  libvirtCloseTimeoutMs: 2_000,
  /** How long a guest may take to let go of a device. */
  libvirtDetachTimeoutMs: 20_000,
  /** How often a migration's progress is asked for. */
  libvirtProgressMs: 250,
  /** Bytes of one write to a console (libvirt's stream packets hold 256 KiB), and those read in one turn of the event loop. */
  libvirtConsoleBytes: 64 * KiB,
  /** Consoles of one driver open at once. */
  libvirtConsolesMax: 64,
  // --- lab (cli/lab)
  /** One tool of the machine (ip, virsh, apt-get download of some 30 MB). */
  labToolTimeoutMs: 120_000,
  labToolOutputBytesMax: 64 * MiB,
  /** From the start of a host's libvirtd or Open vSwitch to its first answer, on a busy machine. */
  labDaemonStartTimeoutMs: 30_000,
  /** Between two looks for what announces itself by no event. */
  labPollMs: 20,
  /** From SIGTERM to SIGKILL of a host's processes at `lab down`. */
  labStopGraceMs: 4_000,
  /** After SIGKILL: processes in an uninterruptible call of the kernel may take this long. */
  labKillTimeoutMs: 10_000,
  /** Hosts of one lab: each has a libvirtd and a node; addresses are 10.77.0.1 to 10.77.0.64. */
  labHostsMax: 64,
  // --- simulated hosts (rmo/driver/memory)
  /** failNext() of one driver not yet taken; the oldest is forgotten. */
  memoryFailuresMax: 64,
  /** Consoles open on one simulated guest, and characters of a line typed into it. */
  memoryConsolesMax: 16,
  memoryConsoleLineCharsMax: 4_096,
  /** Snapshots of one simulated domain and volumes of one simulated pool; far above what people make, some MB of records. */
  memorySnapshotsMax: 256,
  memoryVolumesMax: 16_384,
  // --- commands on several objects, watches of lists (cli)
  /** Objects worked on at once by one command (the machines do the work), and how seldom a watched table is drawn again. */
  sideBySideMax: 32,
  watchRedrawMs: 250,
  /** Changes that nobody has read yet; what comes then is told as one "lost". */
  watchedChangesMax: 65_536,
  // --- listings (rmo/listing.ts)
  /** Objects of a kind in one listing, some 200 MB of records at the most; a home above it is named as failed. */
  listedMax: 131_072,
  /** Records in one part of a listing (some milliseconds of encoding), in the first one, and the bytes at which a part is closed. */
  listBatchMax: 512,
  listBatchMin: 64,
  listBatchBytes: 256 * KiB,
  /** One part as a reader accepts it: a record may be large (an image names every disk that stands on it). */
  listPartBytesMax: 4 * MiB,
} as const

export type Limits = typeof LIMITS
