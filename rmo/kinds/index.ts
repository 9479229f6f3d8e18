// The kinds of rmo: one line each. Everything that lists, checks or draws kinds starts here.

import { createKindRegistry } from '../registry.ts'
import { image } from './image.ts'
import { network } from './network.ts'
import { physicalMachine } from './physical-machine.ts'
import { port } from './port.ts'
import { switchKind } from './switch.ts'
import { snapshot } from './snapshot.ts'
import { storagePool } from './storage-pool.ts'
import { vm } from './vm.ts'
import { vmm } from './vmm.ts'
import { volume } from './volume.ts'

export const rmoKinds = createKindRegistry([
  physicalMachine,
  vmm,
  vm,
  snapshot,
  switchKind,
  port,
  storagePool,
  volume,
  image,
  network,
])
