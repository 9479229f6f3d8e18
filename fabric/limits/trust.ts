// Bounds of trust: tokens, directory, rules, audit, accounts, doors. A section a part.
// One row each: unit in the name, default, reason. Part of LIMITS (../limits.ts).

export const TRUST_LIMITS = {
  // --- tokens and users (kali/trust)
  /** Life of a token without renewal (reliability.md 4.3). */
  tokenLifeMsMax: 600_000,
  /** A token shorter than this would end before its user has typed. */
  tokenLifeMsMin: 5_000,
  /** Clocks of a fabric may differ this much before tokens of other nodes are refused. */
  tokenSkewMs: 60_000,
  /** A token of a user in 64 groups, narrowed to 64 nodes, with its signer's certificates, is about 9 KiB; nothing larger is looked at. */
  tokenCharsMax: 16_384,
  tokenVerbsMax: 64,
  /** They become part of the principal's text, which the gate reads up to 1,024 characters. */
  tokenVerbsCharsMax: 768,
  tokenAudienceMax: 64,
  tokenCallsMax: 1_000_000_000,
  /** After this the directory is asked again, however active a user is: a working day. */
  loginAgeMsMax: 43_200_000,
  /** A challenge is for the next message of a program, not for a person. */
  challengeMs: 10_000,
  userNameCharsMax: 63,
  userGroupsMax: 256,
  groupNameCharsMax: 128,
  userDnCharsMax: 1_024,
  /** "physicalMachine:administer" has 26. */
  patternCharsMax: 96,
  passwordBytesMax: 1_024,
  /** Records of users in the store: each login of a new name writes one. */
  trustUsersMax: 20_000,
  trustRolesMax: 256,
  roleMembersMax: 1_024,
  rolePatternsMax: 256,
  trustRevokedNodesMax: 4_096,
  trustRecordBytesMax: 65_536,
  /** Members named in the record of a revocation, 67 bytes each: with its signature within trustRecordBytesMax. In a larger fabric those that do not fit and were admitted by the revoked node need a new ticket. */
  trustKeptMembersMax: 900,
  /** Who changes a record at the same time reads again, this often. */
  trustTries: 8,
  /** Pause before records of trust are read anew after a failed watch; doubles. */
  trustRetryMs: 250,
  trustRetryMsMax: 5_000,
  /** How long a change waits to be seen by this node's own view. */
  trustSeenMs: 5_000,
  /** Wrong passwords of one name on one node before it has to wait, and how fast tries come back: 6 a minute over a day are 8,640 guesses. */
  loginTries: 5,
  loginTriesPerMinute: 6,
  loginNamesTracked: 4_096,
  /** Wrong passwords on one connection; then it is closed. */
  loginTriesPerConnection: 3,
  /** Budgets of narrowed tokens counted on one node at a time. */
  tokenBudgetsMax: 10_000,
  /** Connections of a users' socket, and how long one may stay without having shown a token. */
  usersConnectionsMax: 128,
  usersPresentMs: 30_000,

  // --- the directory of users (kali/trust/ldap.ts)
  /** One login from the first packet to the last, and one probe: a directory that is slower is away. */
  directoryLoginMs: 10_000,
  /** What the server is told to spend on one search: below directoryLoginMs, so that its refusal arrives before our patience ends. */
  directorySearchSeconds: 5,
  /** Logins under way on one node, each with a connection: a flood of them must not become one on the directory. */
  directoryLoginsMax: 16,
  /** No refusal comes sooner: guessing is slow, and an unknown name takes as long as a wrong password. */
  directoryRefusalMs: 500,
  /** All that the directory may send in one login: 256 groups with long names are a tenth. */
  directoryAnswerBytesMax: 1_048_576,
  /** The one answer that is read in the clear. */
  directoryStartTlsBytesMax: 4_096,
  /** A DN or filter in the settings. */
  directoryTextCharsMax: 1_024,
  /** Certificates of authorities in the settings, PEM. */
  directoryCaCharsMax: 65_536,

  // --- access rules (rmo/acl)
  /** Principals whose parsed form a node keeps: shells, cells and functions that speak to it at one time, at about 1 KB each. */
  aclSubjectsMax: 1_024,
  /** Rights in one rule: every verb of the largest kind. */
  aclRuleVerbsMax: 64,
  /** Between two looks at whether open watches and streams are still allowed: a revoked right ends them within the 10 s of the promise. */
  aclRecheckMs: 2_000,
  /** A rule that is added or taken out while others change the same object's: tries, and the pause between two, ms. */
  aclTriesMax: 32,
  aclAgainMs: 100,

  // --- audit (rmo/audit)
  /** Records kept per node, two a change, some 500 bytes each; the oldest go first, so many at once under one signature. */
  auditRecordsMax: 200_000,
  auditPruneMax: 1_024,
  /** Texts of a record: principal, name, error. With them a record has at most about 3 KiB. */
  auditTextCharsMax: 256,
  /** Records of one write, records that wait for one, acts under way at once. */
  auditBatchMax: 256,
  auditPendingMax: 8_192,
  auditOpenMax: 4_096,
  /** An outcome waits this long for an intent to share its write. */
  auditOutcomeMs: 20,
  /** Records that could not be written are tried again this often. */
  auditRetryMs: 1_000,
  /** Refusals of one principal told one by one in a window, the others as a count; principals told apart. */
  auditRefusalsPerWindow: 20,
  auditRefusalWindowMs: 60_000,
  auditRefusersMax: 1_024,
  /** A checkpoint goes to the witnesses after so many records, or this long after the first of them (reliability.md 4.5: 10 found all, 25 did not). */
  auditCheckpointRecords: 10,
  auditCheckpointMs: 1_000,
  /** Witnesses of a node, checkpoints that a node keeps of itself and of another, and proofs of contradiction. */
  auditWitnesses: 2,
  auditCheckpointsKept: 32,
  auditConflictsKept: 4,
  /** Nodes of which a node keeps checkpoints; members only, so more have never been. */
  auditWitnessedMax: 1_024,
  /** Digests of one step of a proof, 32 bytes each: 256 KiB. */
  auditProofRecords: 8_192,
  /** A witness that could not be told is told again this often. */
  auditWitnessRetryMs: 5_000,
  auditWitnessTimeoutMs: 5_000,

  // --- accounts and quotas (rmo/account)
  /** Groups of one user whose quotas a booking counts in: two reads and a write each, of a transaction's 128. */
  quotaGroupsMax: 16,
  /** Days that a node keeps its hourly accounts: a month, and time to bill it. */
  accountDaysKept: 45,
  /** A VM that ran before its node ended, and is not seen within this time of the node's start, is counted up to its mark. */
  accountResumeMs: 600_000,
  /** Rows of one answer of `kumoi account`, after they were added up; a member has to answer in. */
  accountRowsMax: 20_000,
  accountAnswerMs: 10_000,

  // --- cells (functions/sandbox)
  /** Users of the cells of one process: cellsMax of one node, its spare, those that die, and more nodes in one process of a test. */
  cellUsersMax: 64,
  /** Memory of one cell's control group, its share of Node's text not counted; above cellResidentMiBMax nothing is gained. */
  cellGroupMiBMax: 512,
  /** A cell has some 12 threads, and one more for each lane. */
  cellThreadsMax: 64,
  /** Open files of a cell: about 30, and one for each lane. */
  cellFilesMax: 256,
  /** One try of what this machine allows; each takes about 10 ms. */
  wallTryMs: 5_000,

  // --- doors (fabric/transport, kali/http)
  /** A proof of an HTTP request is good this long before and after its time; so long it is remembered. */
  httpProofSkewMs: 30_000,
  /** Proofs remembered, 200 bytes each: a thousand requests a second for the minute; of one token a quarter of them. */
  httpProofsMax: 65_536,
  httpProofsPerTokenMax: 16_384,
  /** A renewed certificate is in use this much later at most. */
  httpCertificateLookMs: 10_000,
  /** From a TCP connection to a finished TLS handshake, as for the hello between nodes. */
  httpTlsHandshakeMs: 3_000,
  /** Connections of one source address at the HTTP door: a quarter of httpConnectionsMax. This machine itself is not bounded so. */
  httpConnectionsPerSourceMax: 64,
} as const
