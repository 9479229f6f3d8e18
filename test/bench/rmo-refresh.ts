// Cost of a machine's fresh attributes (Capabilities.refresh) and of one background sample. One JSON line each.
// Run: node test/bench/rmo-refresh.ts

import { performance } from 'node:perf_hooks'
import { systemClock } from '../../fabric/base.ts'
import { createOsTexts } from '../../rmo/os/read.ts'
import { createSampler } from '../../rmo/os/sampler.ts'
import { authority, createTestFabric, must } from '../support/rmo-fabric.ts'

async function measure(name: string, rounds: number, work: () => unknown): Promise<void> {
  for (let i = 0; i < rounds; i++) await work()
  const timesUs: number[] = []
  for (let batch = 0; batch < 20; batch++) {
    const from = performance.now()
    for (let i = 0; i < rounds; i++) await work()
    timesUs.push((performance.now() - from) * 1_000 / rounds)
  }
  timesUs.sort((a, b) => a - b)
  for (const [what, value] of [['median', timesUs[10]], ['minimum', timesUs[0]]] as const) {
    console.log(JSON.stringify({ name: `${name} ${what}`, value: Number(must(value).toFixed(2)), unit: 'us', count: 20 * rounds }))
  }
}

const fabric = createTestFabric(['alpha'])
const { capabilities, session } = fabric.node('alpha')
const own = capabilities.listHere('PhysicalMachine')
const asked = authority()
await measure('refresh of the local machine', 2_000, () => capabilities.refresh(own, asked))
const target = must(own[0])
const args = session.codec.encode([])
await measure('invoke of a verb on the local machine (gate, codec, dump)', 1_000, () => capabilities.invokeEncoded(target, 'dump', args, asked))
fabric.close()

const sampler = createSampler({ clock: systemClock, texts: createOsTexts() })
await measure('one background sample', 50, () => sampler.sample())
sampler.stop()
