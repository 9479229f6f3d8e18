// Bounds of the shell: what people see and wait for, labs, commands on several objects.
// One row each: unit in the name, default, reason. Part of LIMITS (../limits.ts).

import { KiB, MiB } from './units.ts'

export const CLI_LIMITS = {
  // --- shell
  /** A console without a terminal ends when its input has ended and the guest has been quiet this long. */
  consoleQuietMs: 1_000,
  /** And for its first word: a guest that has other things to do answers late, one that is mute must not hold a pipe for ever. */
  consoleAnswerMs: 5_000,
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
  // --- lab (lab/)
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
  // --- the paper's figures (lab/figures)
  /** Looks at a pool that have not been answered yet: more would only wait for each other. */
  figureLooksAtOnce: 4,
  /** One call of an experiment; placing, making and starting a VM on an emulated machine is the longest. */
  figureCallTimeoutMs: 180_000,
  /** A guest under emulation boots in 3 to 40 s; each question waits 3 s for its answer. Before it is asked again: */
  figureAsksMax: 60,
  figurePauseMs: 200,
  // --- commands on several objects, watches of lists
  /** Objects worked on at once by one command (the machines do the work), and how seldom a watched table is drawn again. */
  sideBySideMax: 32,
  watchRedrawMs: 250,
  /** Changes that nobody has read yet; what comes then is told as one "lost". */
  watchedChangesMax: 65_536,
} as const
