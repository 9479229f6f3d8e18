// Bounds of the drivers: libvirt and its texts, Open vSwitch and Linux bridges, simulated machines.
// One row each: unit in the name, default, reason. Part of LIMITS (../limits.ts).

import { KiB, MiB } from './units.ts'

export const DRIVER_LIMITS = {
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
  // --- calls of libvirt
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
  /** Emulators watched at once, one descriptor each (a process may have 1,024 and more); the others' ends are told when libvirt tells them. */
  libvirtEmulatorsMax: 512,
  /** Consoles of one driver open at once. */
  libvirtConsolesMax: 64,
  // --- simulated machines (memory/)
  /** failNext() of one driver not yet taken; the oldest is forgotten. */
  memoryFailuresMax: 64,
  /** Consoles open on one simulated guest, and characters of a line typed into it. */
  memoryConsolesMax: 16,
  memoryConsoleLineCharsMax: 4_096,
  /** Snapshots of one simulated domain and volumes of one simulated pool; far above what people make, some MB of records. */
  memorySnapshotsMax: 256,
  memoryVolumesMax: 16_384,
} as const
