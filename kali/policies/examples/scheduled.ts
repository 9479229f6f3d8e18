// Elastic groups by the clock: four members in office hours, one at night. The rest (capacity in flight, steps, cooldowns,
// launch failures, max) is that of kali-elasticity; `kumoi deploy scheduled.ts`, then name it in the pool's policies instead.

import { defineFunction } from 'kumoi'
import { elasticity } from '../elasticity.ts'
import { policyFunction } from '../policy.ts'

const HOUR_MS = 3_600_000
const decide = elasticity({ wish: ({ atMs }) => (Math.floor(atMs / HOUR_MS) % 24 >= 8 && Math.floor(atMs / HOUR_MS) % 24 < 18 ? 4 : 1) })

export default defineFunction(policyFunction('scheduled', decide, { description: 'Four members from 8 to 18 o\'clock UTC, else one' }))
