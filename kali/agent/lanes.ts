// How much is done at once on one machine. Starts go first: a VM that crashed waits for no disk that is being made.

export interface Lanes {
  /** Resolves with its answer when it had its turn; rejects without running when the signal aborts before. */
  run<T>(urgent: boolean, signal: AbortSignal, work: () => Promise<T>): Promise<T>
}

export function createLanes(max: number): Lanes {
  const urgentOnes: (() => void)[] = [], others: (() => void)[] = []
  let running = 0
  const next = (): void => {
    if (running >= max) return
    const turn = urgentOnes.shift() ?? others.shift()
    if (turn === undefined) return
    running++
    turn()
  }
  return {
    async run(urgent, signal, work) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const queue = urgent ? urgentOnes : others
      queue.push(resolve)
      next()
      await promise
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
