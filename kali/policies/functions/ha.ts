// The deployed function kali-ha: ../ha.ts decides, ../policy.ts is one round of it. Bundled, never imported.

import { defineFunction } from 'kumoi'
import { ha } from '../ha.ts'
import { delivered, policyFunction } from '../policy.ts'

export default defineFunction(policyFunction('kali-ha', ha, { description: delivered('Restarts protected VMs elsewhere when their host is lost, and places what waits for room'), every: '1s' }))
