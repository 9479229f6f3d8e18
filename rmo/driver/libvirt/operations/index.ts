// All operations by name: what a call thread can do (worker.ts).

import type { Operations } from '../operation.ts'
import { connectionOperations } from './connection.ts'
import { consoleOperations } from './console.ts'
import { deviceOperations } from './device.ts'
import { domainOperations } from './domain.ts'
import { migrationOperations } from './migration.ts'
import { networkOperations } from './network.ts'
import { snapshotOperations } from './snapshot.ts'
import { statsOperations } from './stats.ts'
import { storageOperations } from './storage.ts'

export const operations: Operations = {
  ...connectionOperations, ...domainOperations, ...deviceOperations, ...snapshotOperations, ...migrationOperations,
  ...consoleOperations, ...statsOperations, ...storageOperations, ...networkOperations,
}
