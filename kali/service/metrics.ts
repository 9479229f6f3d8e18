// Metrics of elastic groups that a deployed function tells: payload { group, members }, answers a number. One that fails, or
// has not answered in time, has no value in the snapshot: for the policy that is a miss, not a zero (cloud.md 6.2).

import { LIMITS, errorCode } from '../../fabric/base.ts'
import type { PoolSnapshot } from '../cloud/contract.ts'
import type { CloudServiceOptions } from './options.ts'

export async function readMetrics(snapshot: PoolSnapshot, { metric, clock, log }: Pick<CloudServiceOptions, 'metric' | 'clock' | 'log'>): Promise<PoolSnapshot['metrics']> {
  const values: Record<string, number | undefined> = {}
  const waiting = snapshot.groups.filter(({ spec, paused }) => spec.metric.type === 'function' && !paused).values()
  const lane = async (): Promise<void> => {
    for (const group of waiting) {
      if (group.spec.metric.type !== 'function') continue
      const { name } = group.spec.metric
      const ended = new AbortController()
      let timer: { cancel(): void } | undefined
      const late = new Promise<undefined>((resolve) => {
        timer = clock.after(LIMITS.cloudMetricTimeoutMs, () => { ended.abort(); resolve(undefined) }, { background: true })
      })
      try {
        const members = snapshot.vms.filter((vm) => vm.group === group.uuid)
        const value = await Promise.race([metric(name, { group: { uuid: group.uuid, name: group.name, spec: group.spec }, members }, ended.signal), late])
        values[group.uuid] = typeof value === 'number' && Number.isFinite(value) ? value : undefined
      } catch (error) {
        log.warn('the metric of an elastic group failed', { group: group.name, function: name, code: errorCode(error) ?? String(error) })
        values[group.uuid] = undefined
      } finally {
        timer?.cancel()
      }
    }
  }
  await Promise.all(Array.from({ length: LIMITS.cloudMetricsAtOnce }, lane))
  return values
}
