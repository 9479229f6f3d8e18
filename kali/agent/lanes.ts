// How much is done at once on one machine. Starts go first: a VM that crashed waits for no disk that is being made. Who
// waits is one step of one VM each, so never more than the machine has VMs; who is called back waits no longer.

export interface Lanes {
  /** Resolves with its answer when it had its turn; rejects without running, at once, when the signal aborts before. */
  run<T>(urgent: boolean, signal: AbortSignal, work: () => Promise<T>): Promise<T>
}

export function createLanes(max: number): Lanes {
  const urgentOnes = new Set<() => void>(), others = new Set<() => void>()
  let running = 0
  const next = (): void => {
    const queue = urgentOnes.size > 0 ? urgentOnes : others
    const [turn] = queue
    if (running >= max || turn === undefined) return
    queue.delete(turn)
    running++
    turn()
  }
  const turnIn = (queue: Set<() => void>, signal: AbortSignal): Promise<void> => new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const turn = (): void => { signal.removeEventListener('abort', aborted); resolve() }
    const aborted = (): void => { if (queue.delete(turn)) reject(signal.reason as Error) }
    signal.addEventListener('abort', aborted, { once: true })
    queue.add(turn)
    next()
  })
  return {
    async run(urgent, signal, work) {
      await turnIn(urgent ? urgentOnes : others, signal)
      try {
        signal.throwIfAborted()
        return await work()
      } finally {
        running--
        next()
      }
    },
  }
}
