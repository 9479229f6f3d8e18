// Rate limits at a device of the kernel, both ways, by tc: a token bucket for what it sends, a policer for what it receives.
//
// The same two that libvirt sets for <bandwidth>. Kernels are built without one or the other (a policer needs cls_u32 and
// act_police): a limit in one direction only would be half a promise, so both come or neither does.

import { errorCode } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { Call } from '../contract.ts'
import { bitsOf } from '../switch/rules.ts'
import type { Iproute } from './iproute.ts'

/** Bytes that may pass at once: a tenth of a second's, and never under one offloaded packet. */
const BURST_BYTES_MIN = 65_536
const burstOf = (rateKiBps: number): string => `${Math.max(BURST_BYTES_MIN, Math.round(rateKiBps * 1_024 / 10))}b`

export interface Shaping {
  /** 0 takes the limit away. Throws DRIVER_UNSUPPORTED when the kernel cannot; nothing is limited then. */
  limit(device: string, rateKiBps: number, call: Call): Promise<void>
  /** Is a limit in force at the device, whoever set it? undefined: both ways; else what is missing. */
  missing(device: string, call: Call): Promise<string | undefined>
}

export function createShaping(iproute: Iproute): Shaping {
  const tc = (args: readonly string[], device: string, call: Call): Promise<string> => iproute.run('tc', args, { operation: 'limiting', name: device }, call)
  /** Taking away what is not there is no failure. */
  const clear = async (device: string, call: Call): Promise<void> => {
    for (const place of ['root', 'ingress']) {
      try {
        await tc(['qdisc', 'del', 'dev', device, place], device, call)
      } catch (error) {
        if (errorCode(error) !== RMO.SWITCH_FAILED.code) throw error
      }
    }
  }
  return {
    async limit(device, rateKiBps, call) {
      await clear(device, call)
      if (rateKiBps === 0) return
      const [rate, burst] = [`${bitsOf(rateKiBps)}bit`, burstOf(rateKiBps)]
      try {
        await tc(['qdisc', 'replace', 'dev', device, 'root', 'tbf', 'rate', rate, 'burst', burst, 'latency', '50ms'], device, call)
        await tc(['qdisc', 'add', 'dev', device, 'ingress'], device, call)
        await tc(['filter', 'add', 'dev', device, 'parent', 'ffff:', 'protocol', 'all', 'prio', '49', 'u32', 'match', 'u32', '0', '0', 'police', 'rate', rate, 'burst', burst, 'mtu', '64kb', 'drop', 'flowid', ':1'], device, call)
      } catch (error) {
        await clear(device, call)
        if (errorCode(error) !== RMO.SWITCH_FAILED.code) throw error
        const { text } = (error as { details: { text: string } }).details
        throw RMO.DRIVER_UNSUPPORTED({ operation: `a rate limit on port ${device}`, driver: 'linux bridge', reason: `this kernel lacks what it needs (${text})` }, { cause: error })
      }
    },
    async missing(device, call) {
      const purpose = { operation: 'looking at the limit', name: device }
      const qdiscs = await iproute.json('tc', ['qdisc', 'show', 'dev', device], purpose, call)
      const shaped = qdiscs.some((qdisc) => (qdisc as { root?: unknown }).root === true && ['htb', 'tbf'].includes(String((qdisc as { kind?: unknown }).kind)))
      if (!shaped) return 'this kernel lacks the HTB queueing discipline'
      const filters = await iproute.json('tc', ['filter', 'show', 'dev', device, 'ingress'], purpose, call)
      return filters.length > 0 ? undefined : 'this kernel lacks the classifier or the policing action for what a port receives'
    },
  }
}
