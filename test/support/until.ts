// Waiting for what no event announces; loads nothing, unlike the lab.

/** How long anything that must happen may take on a busy machine. */
export const PATIENCE_MS = 20_000
const POLL_MS = 25

/** Waits for a condition that no event announces (another process's state); fails with `what`. */
export async function until<T>(what: string, look: () => T | undefined | false | Promise<T | undefined | false>, patienceMs = PATIENCE_MS): Promise<T> {
  const endMs = performance.now() + patienceMs
  for (;;) {
    const seen = await look()
    if (seen !== undefined && seen !== false) return seen
    if (performance.now() > endMs) throw new Error(`not within ${patienceMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}
