// All kinds: rmo's, and the cloud's, one line each. What a node serves and a shell knows.

import { createKindRegistry, rmoKinds } from '../../rmo/base.ts'
import { elasticity } from './elasticity.ts'
import { globalKind } from './global.ts'
import { highAvailability } from './high-availability.ts'
import { pool } from './pool.ts'

export const kumoiKinds = createKindRegistry([
  ...rmoKinds.kinds,
  globalKind,
  pool,
  elasticity,
  highAvailability,
])
