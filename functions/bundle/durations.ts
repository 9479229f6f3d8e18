// Durations as users write them: "250ms", "5s", "2m", "1.5h", "1d". Pure.

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const FORM = /^(\d{1,9}(?:\.\d{1,3})?)\s*(ms|s|m|h|d)$/

/** Milliseconds, whole; undefined: no duration. */
export function parseDuration(text: string): number | undefined {
  const [, amount = '', unit = ''] = FORM.exec(text.trim()) ?? []
  return amount === '' ? undefined : Math.round(Number(amount) * (UNITS[unit] ?? 0))
}

/** The shortest way to write it: 90_000 is "90s". */
export function formatDuration(ms: number): string {
  const [unit, size] = Object.entries(UNITS).toReversed().find(([, each]) => ms >= each && ms % each === 0) ?? ['ms', 1]
  return `${ms / size}${unit}`
}
