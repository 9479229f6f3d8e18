// Bounds of objects and their homes: verbs, watches, ledgers, hosts of virtual machines, images, disks and seeds.
// One row each: unit in the name, default, reason. Part of LIMITS (../limits.ts).

import { KiB, MiB } from './units.ts'

export const RMO_LIMITS = {
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
  /** Names and reasons a node keeps of objects that went away for good, some 200 bytes each; after that a reference to one is "unknown". */
  objectTombstonesMax: 8_192,
  /** Changes whose outcome is kept for whoever asks again with the same operation id, and how long. */
  operationsMax: 1_024,
  operationWindowMs: 60_000,
  operationCharsMax: 64,
  /** Changes that one answer of an object's audit() has. */
  auditAnswerMax: 1_000,
  /** Counters are gathered this long before they are written; so many accounts each time. */
  ledgerFlushMs: 1_000,
  ledgerAccountsPerFlush: 512,
  /** Principals whose use of one object is counted apart (further ones share a row), and rules of one object. */
  accountPrincipalsMax: 256,
  aclRulesMax: 256,
  /** How often what objects use by themselves (vmSeconds, ...) is added up. */
  accountTickMs: 10_000,
  /** Simulated machines on one node, and VMs of each at its start. */
  fleetHostsMax: 10_000,
  /** Bytes of a console that its reader has not taken; more end the stream. */
  byteStreamBacklogBytes: MiB,
  // --- hosts of virtual machines (host/)
  /** Everything is read again at least this often, whatever events said; one inventory of 100 domains takes some 20 ms. */
  hostResyncMs: 10_000,
  /** Events that come together cause one reading this much later. */
  hostCoalesceMs: 15,
  /** A state that differs from the last event told is told as an event itself when it still differs after this: the event may only be late. */
  hostEventGraceMs: 250,
  /** From an emulator's death to the event "crashed": what explains it otherwise may be on its way (libvirt's "shutdown" comes within some 5 ms). */
  hostDeathGraceMs: 20,
  /** How long the hypervisor may go on counting a guest as running whose emulator has died. libvirt needs 200 ms, and as long as the first process of a container takes to reap it. */
  hostDeathConfirmMs: 5_000,
  /** Figures of all VMs, one call to the hypervisor; cpuRatio is over the window. */
  hostSampleMs: 1_000,
  hostCpuWindowMs: 5_000,
  /** One reading (inventory, statistics, facts) of a hypervisor. */
  hostReadTimeoutMs: 10_000,
  /** How long a driver may go on after a call's deadline or its cancellation before the host gives it up: locks must come free. */
  hostGuardGraceMs: 3_000,
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
  /** A console closed here is asked for again this long, this often: the hypervisor lets go of it a moment later. */
  vmConsoleReleaseMs: 2_000,
  vmConsoleRetryMs: 100,
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
  // --- assignments to objects (assignments.ts)
  /** Different objects with assignments outstanding or failed and untold, in one program. */
  assignedObjectsMax: 4_096,
  /** Failures of assignments to objects that could not be found, kept until somebody asks. */
  untoldFailuresMax: 64,
  // --- listings (listing.ts)
  /** Objects of a kind in one listing, some 200 MB of records at the most; a home above it is named as failed. */
  listedMax: 131_072,
  /** Records in one part of a listing (some milliseconds of encoding), in the first one, and the bytes at which a part is closed. */
  listBatchMax: 512,
  listBatchMin: 64,
  listBatchBytes: 256 * KiB,
  /** One part as a reader accepts it: a record may be large (an image names every disk that stands on it). */
  listPartBytesMax: 4 * MiB,
} as const
