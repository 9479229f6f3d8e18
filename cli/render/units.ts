// Figures for people, used only by commands that know what a number means. Results of expressions are
// never rounded or scaled.

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

export function bytesText(bytes: number | undefined): string {
  if (bytes === undefined || !Number.isFinite(bytes)) return '-'
  let value = bytes, unit = 0
  while (value >= 1024 && unit < BINARY.length - 1) { value /= 1024; unit++ }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${BINARY[unit]}`
}

export const mebibytesText = (mebibytes: number): string => bytesText(mebibytes * 1_048_576)

/** "1 VM", "2 VMs". */
export const countText = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`

/** 0 to 1 -> percent. */
export const ratioText = (ratio: number | undefined): string => (ratio === undefined || !Number.isFinite(ratio) ? '-' : `${Math.round(ratio * 100)}%`)

const STEPS = [['d', 86_400_000], ['h', 3_600_000], ['m', 60_000], ['s', 1_000]] as const

/** "3d 4h", "12m 5s", "0s": the two largest units. */
export function durationText(ms: number): string {
  let rest = Math.max(0, ms)
  const parts: string[] = []
  for (const [unit, size] of STEPS) {
    const count = Math.floor(rest / size)
    if (count > 0 || parts.length > 0) parts.push(`${count}${unit}`)
    rest -= count * size
    if (parts.length === 2) break
  }
  return parts.length === 0 ? '0s' : parts.join(' ').replace(/ 0[hms]$/, '')
}

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** "2s", "500ms", "1.5m", "24h" -> milliseconds; undefined when it is none of these or not above zero. */
export function parseDurationMs(text: string): number | undefined {
  const [, amount, unit] = DURATION.exec(text.trim()) ?? []
  const ms = amount === undefined || unit === undefined ? NaN : Number(amount) * (UNIT_MS[unit] ?? NaN)
  return Number.isFinite(ms) && ms > 0 ? Math.ceil(ms) : undefined
}
