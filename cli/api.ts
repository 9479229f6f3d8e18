// The package's front door: `import { connect } from 'kumoi'` in a program.
//
//   const dc = await connect()
//   console.log(await dc.pms.dmap(pm => pm.name))
//   await dc.close()

export { connect } from '../kali/mod.ts'
export { byRank, defineFunction, defineScheduler, from, range } from './function-api.ts'
export type { CallInfo, FunctionContext, FunctionLog, FunctionSecrets, FunctionState, SchedulableMachine, SchedulerChoice, SchedulerDefinition, StateEntry, UserScheduler } from './function-api.ts'
export { Bridge, Cdrom, FileDisk, FileDiskAuto, load, mac, NetworkInterface, VolumeDisk } from '../rmo/base.ts'
export { errorCode } from '../fabric/base.ts'
export type { ConnectOptions, DataCenter, NodeInfo, NodeRow, ObjectListing } from '../kali/contract.ts'
export type { Collection, CollectionOptions, Manifest, Outcome, Progress } from '../functions/mod.ts'
export type { Device, GuestContext, Image, LoadOptions, Network, ObjectDump, PhysicalMachine, Port, Snapshot, StoragePool, Switch, VM, VmEvent, VMM, VmSettings, Volume } from '../rmo/mod.ts'
