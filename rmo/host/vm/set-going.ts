// The one door through which a VM of a guarded host begins to run: asked before, looked at again after.
//
//   guard.beforeRun --rejects--> not started
//          `--answer--> driver starts it --answer still true--> it runs
//                                        `--false--> destroyed at once, RMO_ERR_NOT_ITS_OWN
//
// The second look covers a node that stood still between the first one and the start (cloud.md 5.3). Also after a start
// that failed or was not answered: it may have begun. The caller holds the VM's lock.

import { LIMITS } from '../../../fabric/base.ts'
import type { DomainMetadata } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import { isActive } from '../../vm-state.ts'
import type { VmContext } from './vm-context.ts'

export interface Going {
  readonly uuid: string
  readonly name: string
  readonly metadata?: Pick<DomainMetadata, 'epoch'> | undefined
  readonly arrives?: 'by-migration'
}

/** Answers what was done once it is certain that it may go on. */
export async function setGoing<T>({ guard, host, ownCall }: Pick<VmContext, 'guard' | 'host' | 'ownCall'>, { uuid, name, metadata, arrives }: Going, work: () => Promise<T>): Promise<T> {
  if (guard === undefined) return work()
  const epoch = metadata?.epoch
  const mayStill = await guard.beforeRun({ uuid, name, ...epoch === undefined ? {} : { epoch }, ...arrives === undefined ? {} : { arrives } })
  const ended = async (): Promise<boolean> => {
    if (mayStill()) return false
    const call = ownCall(LIMITS.vmUndoTimeoutMs)
    const present = await host.driver.domains.get(uuid, call)
    if (present !== undefined && isActive(present.state)) await host.driver.domains.destroy(uuid, call)
    return true
  }
  let answer: T
  try {
    answer = await work()
  } catch (error) {
    await ended()
    throw error
  }
  if (await ended()) throw RMO.NOT_ITS_OWN({ name, host: host.hostName() })
  return answer
}
