// Cost of a machine's fresh attributes (Capabilities.refresh) and of one background sample.

import { systemClock } from '../../fabric/base.ts'
import { createOsTexts } from '../../rmo/os/read.ts'
import { createSampler } from '../../rmo/os/sampler.ts'
import { authority, createTestFabric } from '../support/rmo-fabric.ts'
import { low, standalone } from './figure.ts'
import type { Bench, Figure } from './figure.ts'

async function measure(name: string, rounds: number, work: () => unknown): Promise<Figure> {
  for (let i = 0; i < rounds; i++) await work()
  const timesUs: number[] = []
  for (let batch = 0; batch < 20; batch++) {
    const from = performance.now()
    for (let i = 0; i < rounds; i++) await work()
    timesUs.push((performance.now() - from) * 1_000 / rounds)
  }
  return { name, what: name, unit: 'us', ...low(timesUs), peers: [] }
}

async function figures(): Promise<Figure[]> {
  const fabric = createTestFabric(['alpha'])
  const { capabilities, session } = fabric.node('alpha')
  const own = capabilities.listHere('PhysicalMachine')
  const asked = authority()
  const refresh = await measure('refresh of the local machine', 2_000, () => capabilities.refresh(own, asked))
  const target = own[0]
  if (target === undefined) throw new Error('no machine')
  const args = session.codec.encode([])
  const invoke = await measure('invoke of a verb on the local machine (gate, codec, dump)', 1_000, () => capabilities.invokeEncoded(target, 'dump', args, asked))
  fabric.close()

  const sampler = createSampler({ clock: systemClock, texts: createOsTexts() })
  const sample = await measure('one background sample', 50, () => sampler.sample())
  sampler.stop()
  return [refresh, invoke, sample]
}

export const bench: Bench = { name: 'rmo-refresh', run: figures }

if (import.meta.main) await standalone(bench)
