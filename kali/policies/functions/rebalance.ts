// The deployed function kali-rebalance: ../rebalance.ts decides, ../policy.ts is one round of it. Bundled, never imported.

import { defineFunction } from 'kumoi'
import { rebalance } from '../rebalance.ts'
import { delivered, policyFunction } from '../policy.ts'

export default defineFunction(policyFunction('kali-rebalance', rebalance(), { description: delivered('Moves a VM off a machine that carries much more than the others'), every: '30s' }))
