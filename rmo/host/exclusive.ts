// Changes of one thing, one after the other: a queue per key, bounded, forgotten when empty.
//
// Two keys at once are taken outermost first by name, then by object ("name/web1" before "VM/<uuid>"), so that no two
// changes wait for each other. Who had to wait is asked about again before its turn (../admission.ts).

import { LIMITS } from '../../fabric/base.ts'
import { readmitted } from '../admission.ts'
import { RMO } from '../errors.ts'

export type Exclusive = <T>(key: string, work: () => Promise<T>) => Promise<T>

/** `machine` is for the error RMO_ERR_BUSY, which whoever comes after LIMITS.hostQueueMax others gets. */
export function createExclusive(machine: () => string): Exclusive {
  const queues = new Map<string, { tail: Promise<unknown>; waiting: number }>()
  return async (key, work) => {
    const queue = queues.get(key) ?? { tail: Promise.resolve(), waiting: 0 }
    if (queue.waiting >= LIMITS.hostQueueMax) throw RMO.BUSY({ what: `changes of ${key}`, machine: machine(), limit: LIMITS.hostQueueMax })
    const waits = queue.waiting > 0
    queue.waiting++
    queues.set(key, queue)
    const turn = queue.tail.then(waits ? async () => { await readmitted(); return work() } : work)
    queue.tail = turn.catch(() => {})
    try {
      return await turn
    } finally {
      queue.waiting--
      if (queue.waiting === 0) queues.delete(key)
    }
  }
}
