// "Did you mean": the known name nearest to a mistyped one. Pure; used in error messages only.

const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}

const NAME_CHARS_MAX = 64

/** The known name that `name` was likely meant to be: its beginning, or one that differs in a third of the letters (two at least, so that swapped letters are found). */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = name.slice(0, NAME_CHARS_MAX).toLowerCase()
  if (wanted.length >= 3) {
    const longer = known.find((candidate) => candidate.toLowerCase().startsWith(wanted))
    if (longer !== undefined) return longer
  }
  let best: string | undefined
  let bestDistance = Math.max(wanted.length < 4 ? 1 : 2, Math.floor(wanted.length / 3)) + 1
  for (const candidate of known) {
    const d = distance(wanted, candidate.toLowerCase())
    if (d < bestDistance) { best = candidate; bestDistance = d }
  }
  return best
}
