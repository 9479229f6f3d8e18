// The triggers of one node, put together: who holds what, timers, events. What is to be held follows from the catalog.
//
//   catalog --functions that need a holder--> holders --this node acts--> timers --> invoker
//   rmo's events ------------------------------------------------------> events --> invoker (queue)

import type { NodeHolders } from './holders.ts'
import { startEventTriggers } from './events.ts'
import type { EventTriggersOptions } from './events.ts'
import { isTimer } from './fired.ts'
import { startTimers } from './timers.ts'
import type { TimersOptions } from './timers.ts'
import type { FunctionManifest } from '../deployed.ts'

export interface TriggersOptions extends Omit<TimersOptions, 'holders' | 'invoker'>, Omit<EventTriggersOptions, 'invoker'> {
  readonly holders: NodeHolders
  readonly invoker: TimersOptions['invoker'] & EventTriggersOptions['invoker']
}
export interface Triggers {
  /** No new ticks and events, and everything held is given back. Idempotent. */
  stop(): Promise<void>
}

/** One node must have it: because it runs once in the fabric, or because its ticks do. */
const needsHolder = ({ singleton, triggers }: Pick<FunctionManifest, 'singleton' | 'triggers'>): boolean => singleton || triggers.some(isTimer)

/** Begins at once; the catalog should have been read, or functions are held a moment later. */
export function startTriggers(options: TriggersOptions): Triggers {
  const { catalog, holders } = options
  const want = (): void => holders.want(catalog.list().filter(({ manifest }) => needsHolder(manifest)).map(({ manifest }) => manifest.name))
  const timers = startTimers(options)
  const events = startEventTriggers(options)
  want()
  const unsubscribe = catalog.onChange(want)
  return {
    async stop() {
      unsubscribe()
      events.stop()
      timers.stop()
      await holders.stop()
    },
  }
}
