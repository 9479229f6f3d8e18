// The package's front door: `import { connect } from 'kumoi'` in a program.
//
//   const dc = await connect()
//   console.log(await dc.pms.dmap(pm => pm.name))
//   await dc.close()

export { connect } from '../kali/mod.ts'
export { errorCode } from '../fabric/base.ts'
export type { ConnectOptions, DataCenter, NodeInfo, NodeRow } from '../kali/contract.ts'
export type { Collection, CollectionOptions, Manifest, Outcome, Progress } from '../functions/mod.ts'
export type { PhysicalMachine } from '../rmo/mod.ts'
