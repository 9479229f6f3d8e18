// Bounds of what stays: the global store, deployed functions, their queues, triggers, state, logs.
// One row each: unit in the name, default, reason. Part of LIMITS (../limits.ts).

import { KiB, MiB } from './units.ts'

export const DEPLOYED_LIMITS = {
  // --- global store
  /** One key, in UTF-8 bytes; one value; operations and compares of one transaction (etcd's own defaults are 1.5 MiB and 128). */
  storeKeyBytesMax: 512,
  storeValueBytesMax: MiB,
  storeOperationsMax: 128,
  /** Entries of one range answer. */
  storeRangeMax: 1_000,
  /** Leases: shorter ones would end in a pause of the garbage collector, longer ones hide a death. */
  storeLeaseMsMin: 1_000,
  storeLeaseMsMax: 3_600_000,
  // --- deployed functions
  /** Script of one function. */
  bundleBytesMax: 4 * MiB,
  /** Source map of one. */
  sourceMapBytesMax: 16 * MiB,
  /** Nodes that keep a copy of a deployed script and its map (all, when there are fewer). */
  bundleCopies: 3,
  /** Versions kept of one function; older ones are forgotten. */
  versionsKept: 20,
  /** Call that names no timeout. */
  functionTimeoutMs: 30_000,
  /** Calls of one function that run at once on one node, and that wait there. */
  functionConcurrency: 64,
  functionQueue: 1_024,
  /** Nested calls that one call from outside may cause in all. */
  callBudget: 10_000,
  /** Payload of a call, and its answer, encoded. */
  payloadBytesMax: MiB,
  /** Attempts of an asynchronous call, the first included; pause before the second. */
  asyncAttempts: 5,
  asyncBackoffMs: 1_000,
  // --- singletons
  /** A holder's lease: the bound on how long a dead one is waited for. */
  holderLeaseMs: 5_000,
  // --- triggers (functions/trigger)
  /** Part of a holder's lease that it does not use: two clocks' drift, and the way from a decision to its effect. */
  holderMarginRatio: 0.1,
  /** A new holder acts only so long after it won, and an answer about an epoch is worth only so long after it was asked: so no effect of the old epoch can follow one of the new. */
  holderSettleMs: 250,
  /** Between the attempts of the first, second, ... choice of a function's candidates. */
  holderStaggerMs: 100,
  /** Ranks that are told apart; all later ones try together. */
  holderRanksMax: 8,
  /** Wait for the store by one effect of a singleton, over all times it is asked. */
  fenceTimeoutMs: 2_000,
  /** Names whose newest epoch a node remembers. */
  fencedNamesMax: 10_000,
  /** The wall clock is looked at this often while a cron trigger waits: it may have been set. */
  cronLookMs: 30_000,
  /** Missed occurrences of a cron trigger that are counted one by one. */
  cronMissedMax: 100,
  /** A last occurrence further ahead than this was told by a clock that was wrong: it is forgotten. */
  cronAheadMsMax: 90_000_000,
  /** Pause after a write to the store failed, doubled to the second. */
  triggerRetryMs: 250,
  triggerRetryMsMax: 5_000,
  /** Events of a node's objects that wait for the store, of one function; further ones push out the oldest. */
  triggerEventsMax: 1_024,
  /** Payload of one topic message, encoded, is LIMITS.payloadBytesMax; its name in characters. */
  topicCharsMax: 128,
  // --- observe: logs, figures, state, secrets, the HTTP door
  /** Lines of functions that a node keeps, and their bytes; when full, whoever has most gives up his oldest. */
  logRingLinesMax: 10_000,
  logRingBytesMax: 8 * MiB,
  /** One line with its fields; the rest is cut off, and says so. */
  logLineBytesMax: 8 * KiB,
  /** Lines of one function on one node: so many at once, so many a second from then on. Above that they are counted, not kept. */
  logBurstLines: 1_000,
  logLinesPerSecond: 200,
  /** Followers of one node's log, and lines that wait for one of them; a slower one is told how many it missed. */
  logFollowersMax: 64,
  logFollowerLinesMax: 2_000,
  /** Lines in one message of a log stream. */
  logBatchLinesMax: 100,
  /** A node whose log stream broke is asked again after this. */
  logRetryMs: 1_000,
  /** Figures and last lines are waited for this long from one node. */
  gatherTimeoutMs: 2_000,
  /** Functions, and versions of each, that have figures of their own on a node; the rest is "other" together. */
  statsFunctionsMax: 500,
  statsVersionsMax: 5,
  /** Prometheus text of one node. */
  metricsBytesMax: 4 * MiB,
  /** Durable state of one function: one key, one value, keys. */
  stateKeyBytesMax: 256,
  stateBytesMax: 64 * KiB,
  stateKeysMax: 256,
  /** Values of one state.list(). */
  stateListBytesMax: 4 * MiB,
  /** Secrets of the fabric; one name; one value. A value under the least length would be redacted out of every other word. */
  secretsMax: 256,
  secretCharsMin: 4,
  secretBytesMax: 4 * KiB,
  /** Nodes that can seal a secret to a new member wait up to this long at random, so that one of them does it and not all. */
  secretResealMs: 1_000,
  /** Compare-and-put of state and secrets is tried again so often when somebody else was faster. */
  storeAttemptsMax: 16,
  /** HTTP door: connections; headers; time for the headers, for the whole request, and of an idle connection. */
  httpConnectionsMax: 256,
  /** Values in the JSON of one body, nested ones too: about 50 ms of the node's thread. */
  httpValuesMax: 20_000,
  httpHeaderBytesMax: 16 * KiB,
  httpHeadersMax: 64,
  httpHeadersTimeoutMs: 10_000,
  httpRequestTimeoutMs: 30_000,
  httpIdleMs: 5_000,
  /** Longest that a call through the door may take, whatever the function's own timeout. */
  httpCallMsMax: 600_000,
  // --- catalog
  /** Aliases of one function, 'stable' included; with the version to roll back to they must fit into versionsKept. */
  functionAliases: 16,
  /** Times a change is tried again because another one came between reading and writing. */
  catalogTries: 16,
  /** Pause before the store's records are read again after a failure, doubled up to the second. */
  catalogRetryMs: 200,
  catalogRetryMsMax: 10_000,
  /** Who changed something waits at most so long until this node's own catalog shows it. */
  catalogSeenMs: 2_000,
  /** A deploy waits this long for the live members to have it ready; later they are told of as not ready. */
  deployReadyMs: 10_000,
  /** One member's answer that it keeps a copy durably. */
  deployCopyMs: 15_000,
  /** Members that are asked to keep, to get ready, or to have a blob at once. */
  deployAskedAtOnce: 32,
  /** One script or map asked of the others; members asked for it one after another. */
  codeFetchMs: 20_000,
  codePeersMax: 32,
  /** How often a node looks whether it has its copies; after a member went, within a random part of the second. */
  copiesCheckMs: 60_000,
  copiesSpreadMs: 3_000,
  // --- calls by name
  /** Calls of one version in one chunk: beyond this a chunk costs more in waiting than it saves in hops. */
  invokeBatchMax: 64,
  /** Wall time of a chunk up to which calls of a function are gathered; slower ones go alone, so that none waits for another. */
  invokeBatchTargetMs: 5,
  /** Before a node that is getting a version ready asks it again: longer than a lane waits before it makes a spare isolate (2 ms). */
  invokeWarmPauseMs: 5,
  /** What a node believes of the others' load when it places calls is at most this old; members come and go at once. */
  invokeNodesMs: 100,
  /** Versions whose code and queue a node keeps ready; the least recently called idle one goes first. */
  invokeVersionsMax: 256,
  /** Longest that a function which killed its sandbox again at each trial is not called. */
  breakerOpenMsMax: 600_000,
  /** An idempotency key is remembered for at least this long, fabric-wide. */
  idempotencyMs: 600_000,
  /** Asynchronous calls of one function that wait in the store; one more is answered "busy". */
  asyncWaitingMax: 10_000,
  /** Bytes of their records: a few hundred that are as large as they may be would fill the store for everybody. */
  asyncWaitingBytesMax: 16 * MiB,
  /** Asynchronous calls that one node carries out at once. */
  asyncClaimsMax: 16,
  /** A worker's lease on the calls it carries out: the bound on how long one that died holds them up. */
  asyncLeaseMs: 10_000,
  /** Longest pause between two attempts of an asynchronous call. */
  asyncBackoffMsMax: 300_000,
  /** The nodes reach for a waiting call one after the other, this far apart, so that they do not all try. */
  asyncStepMs: 50,
  /** Dead letters kept of one function; the oldest is thrown away, and told of. */
  deadLettersMax: 1_000,
  deadLettersBytesMax: 16 * MiB,
  // --- the store itself (fabric/store/)
  /** All keys and values together: the founder holds them in memory. */
  storeBytesMax: 256 * MiB,
  /** The last part of it is for transactions that add little: who fills the store with large values must not keep holders, claims and removals out. */
  storeReserveBytes: 32 * MiB,
  storeSmallBytes: 2 * KiB,
  /** Values of one transaction; etcd refuses requests above 1.5 MiB. */
  storeTransactionBytesMax: 1_280 * KiB,
  /** One range answer; what is left out comes with the next. gRPC takes 4 MiB unless told otherwise. */
  storeRangeBytesMax: 2 * MiB,
  /** Changes kept for watches that come back: events, and bytes of them. */
  storeHistoryEventsMax: 20_000,
  storeHistoryBytesMax: 32 * MiB,
  /** A watch whose keys do not change is told the revision this often (in revisions), so that it does not fall out of the history. */
  storeProgressRevisions: 1_000,
  /** Leases, and open watches of one store. */
  storeLeasesMax: 10_000,
  storeWatchesMax: 10_000,
  /** Reads and writes that wait for the disk; one more is refused as busy. One fsync takes this many with it. */
  storeQueueMax: 4_096,
  storeCommitMax: 512,
  /** A call to the store that names no time; pause between its attempts, doubled up to the second. */
  storeCallTimeoutMs: 10_000,
  storeRetryMs: 25,
  storeRetryMsMax: 1_000,
  /** One member of an etcd has this long to answer a read before the next one is asked; entries asked for at a time. */
  storeAttemptMs: 2_000,
  storeEtcdPage: 100,
  /** Lease under which a copy keeps the others from writing: how long they wait when the copier dies. */
  storeCopyLeaseMs: 10_000,
  /** How long other members are asked where the store is, when a node starts. */
  storeWhereTimeoutMs: 3_000,
  // --- bundles (functions/bundle/)
  /** The type check of one file: tsc takes seconds on a slow machine; more is a compiler that hangs. */
  typeCheckMs: 120_000,
  /** Of tsc's output, and of the problems that it tells, that are kept. */
  typeCheckChars: MiB,
  typeProblemsShown: 20,
  /** Source maps that are kept parsed: errors come in bursts of one function. */
  sourceMapsParsedMax: 8,
  // --- simulation (kali/simulate/)
  /** Lines of a load trace; values of one sequence made from it. */
  traceRowsMax: 1_000_000,
  traceStepsMax: 100_000,
  /** Figures of simulated machines are read this often at least, and at most: the longer, the fewer records are made anew. */
  simulateSampleMs: 300_000,
  simulateSampleMsMin: 5_000,
  /** Intervals of the curves in a report. */
  simulatePointsMax: 288,
  /** VMs of one simulation at its start. */
  simulateVmsMax: 10_000,
  /** Processor time for evaluating a script and reading its definition: module code that takes longer would delay every cold start. */
  describeMs: 5_000,
  definitionBytesMax: 64 * KiB,
  /** What a definition may ask for. Heap: a cell is killed above cellResidentMiBMax, and has other functions too. */
  functionHeapMiBMin: 8,
  functionHeapMiBMax: 384,
  functionTimeoutMsMax: 3_600_000,
  functionConcurrencyMax: 1_024,
  functionQueueMax: 65_536,
  functionAttemptsMax: 100,
  functionBackoffMsMax: 3_600_000,
  functionTriggersMax: 16,
  functionRightsMax: 64,
  functionSecretsMax: 64,
  functionDescriptionChars: 1_000,
  /** A timer that fires more often is a loop: it belongs into the function. */
  functionEveryMsMin: 100,
  functionEveryMsMax: 31 * 86_400_000,
} as const
