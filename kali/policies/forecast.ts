// What a load will be, by a straight line through what it was (least squares). For policies that look ahead. Pure.

export interface Point { readonly atMs: number; readonly load: number }

/** With fewer than two moments: the last value; with none: 0. Never below 0. */
export function forecast(points: readonly Point[], atMs: number): number {
  const last = points.at(-1)
  if (last === undefined) return 0
  const mean = (of: (point: Point) => number): number => points.reduce((sum, point) => sum + of(point), 0) / points.length
  const middleMs = mean((point) => point.atMs), middle = mean(({ load }) => load)
  const spread = points.reduce((sum, point) => sum + (point.atMs - middleMs) ** 2, 0)
  if (spread === 0) return Math.max(0, last.load)
  const slope = points.reduce((sum, point) => sum + (point.atMs - middleMs) * (point.load - middle), 0) / spread
  return Math.max(0, middle + slope * (atMs - middleMs))
}
