// Every bound in the system: unit in the name, default, reason. Nothing queues, caches, waits,
// retries or grows without a row. The rows stand in limits/, a table for each layer: add yours there.
// test/tidy.test.ts checks that each row is used and stands in one table only.

import { CLI_LIMITS } from './limits/cli.ts'
import { CLOUD_LIMITS } from './limits/cloud.ts'
import { DEPLOYED_LIMITS } from './limits/deployed.ts'
import { DRIVER_LIMITS } from './limits/drivers.ts'
import { FABRIC_LIMITS } from './limits/fabric.ts'
import { FUNCTIONS_LIMITS } from './limits/functions.ts'
import { RMO_LIMITS } from './limits/rmo.ts'
import { TRUST_LIMITS } from './limits/trust.ts'

export const LIMITS = { ...FABRIC_LIMITS, ...FUNCTIONS_LIMITS, ...DEPLOYED_LIMITS, ...RMO_LIMITS, ...DRIVER_LIMITS, ...CLI_LIMITS, ...CLOUD_LIMITS, ...TRUST_LIMITS } as const

export type Limits = typeof LIMITS
