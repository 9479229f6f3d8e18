// Bounds of the cloud: records, placement, leases, agents, policies, the service. A section a part.
// One row each: unit in the name, default, reason. Part of LIMITS (../limits.ts).

import { KiB, MiB } from './units.ts'

export const CLOUD_LIMITS = {
  // --- records and their writes (kali/cloud)
  /** Name of a pool, a VM, a group or a rule: with a pool's uuid it must fit a key of the store in any script. */
  cloudNameCharsMax: 128,
  /** Account that a quota is counted for. */
  cloudAccountCharsMax: 256,
  /** Error, reason or description kept in a record; longer ones are cut by who writes them. */
  cloudTextCharsMax: 2_048,
  /** One record; a VM's settings with its context are most of it. Far below storeValueBytesMax: six of them fit one transaction. */
  cloudRecordBytesMax: 192 * KiB,
  /** What one policy remembers of one pool. */
  cloudMemoryBytesMax: 256 * KiB,
  /** Attempts of one write, the first included, when somebody else was faster each time; pause before the third and longer ones, with jitter. */
  cloudAttempts: 24,
  cloudRetryMs: 4,
  cloudRetryMsMax: 250,
  /** Changes of one pool's VMs that wait for each other on one node. */
  cloudLaneMax: 16_384,
  /** Decisions kept per pool, and how many are added by one node between two looks for those that are too many. */
  decisionsKept: 500,
  decisionsPruneEach: 50,
  // --- what a node knows (kali/cloud/view.ts)
  /** How often the store is asked whether it answers, and how long after that an answer still counts as "without a gap"; together well under the shortest lease. */
  cloudContactMs: 2_000,
  cloudContactPatienceMs: 3_000,
  /** Wait until the node's own view has what the node wrote. */
  cloudSeenMs: 10_000,
  /** Pause before a view that failed reads everything again: doubles from, up to. */
  cloudReloadMs: 100,
  cloudReloadMsMax: 5_000,
  // --- service (kali/service)
  /** Age of what other machines said of themselves that a snapshot may be made from; of what seldom changes (images, storage, bridges). */
  cloudObserveMs: 1_000,
  cloudObserveSlowMs: 5_000,
  /** What one machine has to answer in: who is late has no figures in the snapshot. The whole round; over it nobody has any. */
  cloudObserveAnswerMs: 2_000,
  cloudObserveTimeoutMs: 4_000,
  /** A group's own metric: one call, and how many at once. */
  cloudMetricTimeoutMs: 5_000,
  cloudMetricsAtOnce: 8,
  /** Machines tried for one VM when each was taken by somebody else in between. */
  cloudPlaceTriesMax: 8,
  /** A failed VM that is withdrawn: how long its caller waits for it to be gone. */
  cloudWithdrawMs: 10_000,
  /** Proposals of one round. */
  cloudProposalsMax: 1_024,
  /** What was journaled last, by pool, policy and subject, so that it is not journaled again. */
  cloudSaidMax: 4_096,
  /** Decisions shown with an explanation. */
  cloudWhyDecisions: 20,
  /** Machines whose reasons are written out when there is no room; the choice has them all. */
  cloudReasonsMax: 8,
  /** Before the end of a caller's time in which it is told how far things are: its own end would tell it nothing. */
  cloudAnswerMarginMs: 250,
  /** VMs of a removed pool or group that are let go at once. */
  cloudLettingGoAtOnce: 16,
  // --- placement (kali/placement)
  /** Processor time of a user's scheduler. Figure 3 over 1,000 machines takes some 10 ms. */
  schedulerTimeoutMs: 1_000,
  /** The whole wait for one: its place in a busy sandbox, a cell that starts, a deployed function on another node. A user's verb waits for it. */
  schedulerAnswerMs: 5_000,
  /** Code and captured values of one that was written in a shell: a part of the pool's record, which every node holds. */
  schedulerBytesMax: 64 * KiB,
  /** Places of its ranking that a new VM is tried at where the pool keeps room for lost hosts: each is a packing of all VMs of those. */
  admissionTriesMax: 16,

  // --- policies (kali/policies)
  /** Proposals of one round of one policy for one pool, notes not counted: what is left comes in the next round. */
  policyActionsMax: 64,
  /** Machines that are being started at once, for each machine that can take them: a host boots so many without starving the rest. */
  policyStartsPerMachine: 8,
  /** Pools that one round asks at once. */
  policyPoolsAtOnce: 8,
  /** One round of a policy: all its pools. */
  policyRoundMs: 30_000,
  /** Between two tries of one action on one VM: the first wait, doubled up to the second. */
  policyBackoffMs: 1_000,
  policyBackoffMsMax: 30_000,
  /** Machines lost within it are counted together by the brake (cloud.md 5.11). */
  haBrakeWindowMs: 600_000,
  /** What a live host's agent has to restart a crashed VM by itself before it is reminded, or the VM moved. */
  haPatienceMs: 30_000,
  /** The highest wish of this long decides how far a group shrinks (cloud.md 6.7), and the samples that are kept of it. */
  elasticWishWindowMs: 300_000,
  elasticWishesMax: 60,
  /** A member that was asked for and is not in the snapshot after this counts as a failed launch. */
  elasticAskedMs: 5_000,
  /** A member that could not be made for this long is replaced. */
  elasticFailedMs: 30_000,
  /** After a failed launch; doubled up to the second; that many in a row suspend the group (cloud.md 6.11). */
  elasticBackoffMs: 9_000,
  elasticBackoffMsMax: 900_000,
  elasticFailuresMax: 15,
  /** Beyond its drain time, for a member that was taken away to be gone; then the change counts as complete (cloud.md 6.12). */
  elasticLeaveMs: 60_000,

  // --- agent (kali/agent)
  /** VMs of one machine that are being made, started, moved or removed at once; restarts go first. */
  agentConcurrency: 8,
  /** Pause after a failure of one VM: doubles from, up to. */
  agentBackoffMs: 1_000,
  agentBackoffMsMax: 60_000,
  /** Failures in a row until a human is asked (20 are some 14 minutes); of a protected VM, until it is the HA policy's. */
  agentTriesMax: 20,
  agentTriesProtected: 3,
  /** Who has run for so long does not keep ending soon after its start. */
  agentSteadyMs: 60_000,
  /** A guest that is asked to shut down, until its plug is pulled (members of a group have their own). */
  agentStopPatienceMs: 30_000,
  /** One call of the hypervisor; one that makes disks; one live migration; one question of the serial console. */
  agentCallMs: 60_000,
  agentMakeMs: 300_000,
  agentMigrateMs: 1_800_000,
  agentListenMs: 2_000,
  /** A VM that migrates here is said to be late after this. */
  agentArrivalMs: 600_000,
  /** Between two looks at the serial console of a VM that is not ready. */
  agentReadyPollMs: 500,
  /** Everything is looked at again, whether something was told or not. */
  agentResyncMs: 10_000,
  /** Of an error as it stands in a status or a reason. */
  agentReasonCharsMax: 1_000,
  /** Between two destroys of a protected VM that is still seen running without a lease. */
  agentFenceRetryMs: 100,
  // --- lease, watchdog and guard (kali/lease)
  /** From the end of a lease to the start of its VMs elsewhere: the store's tick, one round of the policy, the restart itself. Printed, and awaited by nobody. */
  haNoticeMs: 3_000,
  /** While anything is protected the boot clock is looked at so often, here and in the watchdog: timers do not run in suspend. */
  haLookMs: 250,
  /** A clock that was ahead of the other by so much slept; readings differ by some 10 ms. */
  haSleptMs: 100,
  /** Members that may be asked whether they are cut off too: each answers within one renewal period. */
  survivalMembersMax: 64,
  /** Lists of voters of one host that may stand in the store, as none of their writes was answered: with more, none is known. */
  votersPossibleMax: 8,
  /** VMs protected on one node: a feed names each, some 200 bytes. */
  protectedVmsMax: 4_096,
  /** Wait for a lease and a watchdog when a VM is armed. */
  leaseArmTimeoutMs: 15_000,
  /** A revocation that is not answered is left: the lease ends by itself. */
  leaseRevokeTimeoutMs: 1_000,
  /** Pause before the agent is asked again to see off what must be off. */
  fenceRetryMs: 500,
  /** A watchdog's answer, and its start: 50 ms on an idle machine. Attempts in a row before protected VMs are given up. */
  watchdogAnswerMs: 1_000,
  watchdogStartMs: 5_000,
  watchdogStartsMax: 3,
  /** Between two looks at guests that are being killed. */
  watchdogKillLookMs: 50,
  watchdogLineCharsMax: 4 * MiB,
  /** The guard's question to the store, right before a VM is set going, and how long its answer counts: a start may take that long. */
  guardReadTimeoutMs: 5_000,
  guardAnswerMs: 20_000,
  /** A user's start of a protected VM waits so long until the agent has armed it. */
  guardArmTimeoutMs: 10_000,
  // --- kinds (kali/kinds)
  /** Things given to pool.add() or remove() that are worked on at once. */
  poolAddsAtOnce: 8,
  /** Building and deploying the delivered policies, cells not yet warm. */
  policyDeployTimeoutMs: 120_000,
  /** One answer of a group's own metric. */
  metricTimeoutMs: 5_000,
} as const
