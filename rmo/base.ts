// Second door of rmo/, beside mod.ts: what shells and programs need of objects, and nothing that only a node runs (hosts,
// drivers, the gate): every `kumoi` on a command line waits for what is loaded here.

export { assignmentsOf } from './assignments.ts'
export { createValueCodec } from './codec.ts'
export { Bridge, Cdrom, FileDisk, FileDiskAuto, mac, NetworkInterface, VolumeDisk } from './devices.ts'
export { RMO } from './errors.ts'
export { rmoKinds } from './kinds/index.ts'
export { readListingStream } from './listing.ts'
export { load } from './load.ts'
export { METHODS } from './messages.ts'
export { makePipelined, makeReference } from './proxy.ts'
