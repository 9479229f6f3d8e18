// The deployed function kali-consolidation: ../consolidation.ts decides, ../policy.ts is one round of it. Bundled, never imported.

import { defineFunction } from 'kumoi'
import { consolidation } from '../consolidation.ts'
import { delivered, policyFunction } from '../policy.ts'

export default defineFunction(policyFunction('kali-consolidation', consolidation(), { description: delivered('Empties machines that carry little and lets them sleep'), every: '30s' }))
