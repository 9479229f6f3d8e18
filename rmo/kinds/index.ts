// The kinds of rmo: one line each. Everything that lists, checks or draws kinds starts here.

import { createKindRegistry } from '../registry.ts'
import { physicalMachine } from './physical-machine.ts'

export const rmoKinds = createKindRegistry([
  physicalMachine,
])
