// Bounds of the cloud: records, placement, leases, agents, policies, the service. A section a part.
// One row each: unit in the name, default, reason. Part of LIMITS (../limits.ts).

export const CLOUD_LIMITS = {
  // --- service (kali/service)
  /** Age of what other machines said of themselves that a snapshot may be made from; of what seldom changes (images, storage, bridges). */
  cloudObserveMs: 1_000,
  cloudObserveSlowMs: 5_000,
  /** One round of questions to all machines; who has not answered has no figures in the snapshot. */
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
} as const
