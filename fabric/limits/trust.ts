// Bounds of trust: tokens, directory, rules, audit, accounts, doors. A section a part.
// One row each: unit in the name, default, reason. Part of LIMITS (../limits.ts).

export const TRUST_LIMITS = {
  // --- tokens and users (kali/trust)
  /** Life of a token without renewal (reliability.md 4.3). */
  tokenLifeMsMax: 600_000,

  // --- access rules (rmo/acl)

  // --- audit (rmo/audit)

  // --- accounts and quotas (rmo/account)

  // --- cells (functions/sandbox)

  // --- doors (fabric/transport, kali/http)
} as const
