// The whole of Kali on virtual time, over seeds: hosts killed, nodes killed and stopped, partitions of every kind, store outages,
// slow and failing hypervisors, users and drains meanwhile. Never two copies, never a false restart, and all that is wanted
// runs again. Longer: `node test/sim/cloud.ts --seeds 10000`.

import t from 'tap'
import { runCloud } from './cloud-world.ts'
import type { CloudRun, CloudRunOptions } from './cloud-world.ts'

// A seed is some 0.4 s of a quiet processor.
t.setTimeout(600_000)

const PARTITIONS = ['cut off from all', 'cut off from the store', 'cut off from the nodes', 'is not heard', 'hears nobody']

async function runs(from: number, count: number, options: CloudRunOptions): Promise<CloudRun[]> {
  const all: CloudRun[] = []
  for (let seed = from; seed < from + count; seed++) all.push(await runCloud(seed, options))
  return all
}
const total = (all: readonly CloudRun[], what: 'starts' | 'takeovers' | 'fences' | 'falseRestarts' | 'migrations'): number => all.reduce((sum, run) => sum + run[what], 0)

t.test('200 seeds of all faults: nothing runs twice, nothing is restarted for nothing, all that is wanted runs again', async (t) => {
  const all = await runs(1, 200, { faults: 8 })
  t.same(all.filter(({ violations }) => violations.length > 0).map(({ seed, violations }) => `seed ${seed} (--faults 8): ${violations.join('; ')}`), [])
  t.equal(total(all, 'falseRestarts'), 0)
  t.ok(total(all, 'takeovers') > 20 && total(all, 'fences') > 100 && total(all, 'migrations') > 20, `${total(all, 'takeovers')} takeovers, ${total(all, 'fences')} fences, ${total(all, 'migrations')} migrations`)
})

t.test('500 partitions and healings: no double runs', async (t) => {
  const all = await runs(1_001, 10, { faults: 50, only: PARTITIONS, vms: 5 })
  t.same(all.flatMap(({ seed, violations }) => violations.map((text) => `seed ${seed}: ${text}`)), [])
  t.equal(all.reduce((sum, { faults }) => sum + Object.values(faults).reduce((a, b) => a + b, 0), 0), 500)
})

t.test('an embedded store, at one of the hosts: 60 seeds of all faults', async (t) => {
  const all = await runs(2_001, 60, { faults: 8, embedded: true })
  t.same(all.filter(({ violations }) => violations.length > 0).map(({ seed, violations }) => `seed ${seed} (--faults 8 --embedded): ${violations.join('; ')}`), [])
  t.ok(total(all, 'takeovers') > 5 && total(all, 'fences') > 30, `${total(all, 'takeovers')} takeovers, ${total(all, 'fences')} fences`)
})

t.test('the machine of the embedded store is lost, or cut off with it: all other hosts keep their VMs', async (t) => {
  for (const [seed, what] of [[3_001, 'host dies'], [3_101, 'cut off from the nodes'], [3_201, 'node process dies']] as const) {
    // Once each: a store that comes and goes within seconds can keep every renewal out.
    const all = await runs(seed, 12, { faults: 1, embedded: true, at: 0, only: [what], users: false, nodes: 5 })
    t.same(all.flatMap(({ seed, violations }) => violations.map((text) => `seed ${seed}: ${text}`)), [], what)
    // A node that dies alone leaves its own guests to its watchdog.
    t.same(all.flatMap(({ seed, trace }) => trace.filter((line) => /ended on host[1-9]: \w+ destroyed/.test(line)).map((line) => `seed ${seed}: ${line}`)), [], what)
  }
})

t.test('the same seed is the same run', async (t) => {
  const [one, again, other] = [await runCloud(7, { faults: 6 }), await runCloud(7, { faults: 6 }), await runCloud(8, { faults: 6 })]
  t.same(again, one)
  t.not(other.traceHash, one.traceHash)
})
