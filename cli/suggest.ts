// "Did you mean": the nearest of a few words by edit distance.

/** Optimal string alignment distance (insert, delete, replace, swap of neighbours). */
export function distance(a: string, b: string): number {
  let previous: number[] = [], row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let best = Math.min((next[j - 1] ?? 0) + 1, (row[j] ?? 0) + 1, (row[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, (previous[j - 2] ?? 0) + 1)
      next.push(best)
    }
    previous = row
    row = next
  }
  return row[b.length] ?? 0
}

/** The nearest candidate, when it is near enough to be what was meant. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates.map((name) => ({ name, d: distance(word, name) })).sort((x, y) => x.d - y.d)
  const best = ranked[0]
  if (best !== undefined && best.d <= Math.max(1, Math.floor(word.length / 3))) return best.name
  return word.length >= 2 ? candidates.find((name) => name.startsWith(word)) : undefined
}
