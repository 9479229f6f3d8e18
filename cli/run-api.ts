// What `import ... from 'kumoi'` gives a script under `kumoi run`: the same names as cli/api.ts, with
// --data, --as, --timeout and Ctrl-C as defaults of `connect`. The script's own options win.

import type { ConnectOptions, DataCenter } from '../kali/contract.ts'
import type { Kali } from './world.ts'

let defaults: ConnectOptions = {}
const opened: DataCenter[] = []
let kali: (() => Promise<Kali>) | undefined

/** Set once by run-script.ts, before the script is loaded. */
export function configureRun(options: ConnectOptions, load: () => Promise<Kali>): void {
  defaults = options
  kali = load
}

export async function connect(options: ConnectOptions = {}): Promise<DataCenter> {
  if (kali === undefined) throw new Error('kumoi run has not been set up')
  const { connect: open } = await kali()
  const dc = await open({ ...defaults, ...options, defaults: { ...defaults.defaults, ...options.defaults } })
  opened.push(dc)
  return dc
}

/** Connections of the script, for what it assigned to objects and never asked about. */
export const connections = (): readonly DataCenter[] => opened

export { errorCode } from '../fabric/base.ts'
export { byRank, defineFunction, defineScheduler, from, range } from './function-api.ts'
export { Bridge, Cdrom, FileDisk, FileDiskAuto, load, mac, NetworkInterface, VolumeDisk } from '../rmo/base.ts'
export type * from './api.ts'
