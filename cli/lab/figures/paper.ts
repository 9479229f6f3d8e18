// What the paper reports of its two experiments (Sugiki and Kato, Figures 4 and 5), in seconds since their start.

export const PAPER = {
  /** Figure 4: one VM under load of its own; a clone was added whenever the mean CPU passed the threshold. */
  clonesAtSeconds: [246, 364, 463],
  figure4EndSeconds: 600,
  /** Figure 5: a VM was destroyed, and a script started it again on the same, live host. */
  destroyedAtSeconds: 180,
  runningAtSeconds: 197,
  figure5EndSeconds: 300,
} as const

export const PAPER_RESTART_SECONDS = PAPER.runningAtSeconds - PAPER.destroyedAtSeconds
