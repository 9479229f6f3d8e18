// The deployed function kali-elasticity: ../elasticity.ts decides, ../policy.ts is one round of it. Bundled, never imported.

import { defineFunction } from 'kumoi'
import { elasticity } from '../elasticity.ts'
import { delivered, policyFunction } from '../policy.ts'

export default defineFunction(policyFunction('kali-elasticity', elasticity(), { description: delivered('Grows and shrinks elastic groups by their load'), every: '1s' }))
