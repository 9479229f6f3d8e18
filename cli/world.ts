// What the shell stands on, handed in so that tests stand it on something else: the three streams, the
// environment, the clock, where the program lies, and the cloud layer, loaded only when first needed.

import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

import type { Clock } from '../fabric/base.ts'
import type { ConnectOptions, DataCenter, RunningNode, StartNodeOptions } from '../kali/contract.ts'

/** What kali/mod.ts gives the shell. */
export interface Kali {
  connect(options: ConnectOptions): Promise<DataCenter>
  startNode(options: StartNodeOptions): Promise<RunningNode>
  /** What this machine allows around shipped code. */
  examineCells?(): Promise<readonly { readonly wall: string; readonly state: 'up' | 'absent'; readonly how: string }[]>
}

export interface Sink { readonly isTTY?: boolean | undefined; readonly columns?: number | undefined; readonly rows?: number | undefined; write(text: string): unknown }

export interface World {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean }
  readonly stdout: Sink
  readonly stderr: Sink
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  /** Folder of package.json. */
  readonly packageRoot: string
  readonly version: string
  /** Absolute path of cli/kumoi.js, for starting further processes. */
  readonly launcher: string
  /** Loads on first use: `kumoi --help` must not pay for the wire. */
  kali(): Promise<Kali>
}

/** Global options, checked. */
export interface Settings {
  /** Absolute. */
  readonly data: string
  readonly json: boolean
  readonly timeoutMs: number | undefined
  readonly merge: boolean
  readonly color: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  readonly as: string | undefined
  /** Users' socket of a node, absolute; undefined: the node's own. */
  readonly socket: string | undefined
  /** Whether a login that lies in `config` is shown. */
  readonly login: boolean
  /** Where logins lie. */
  readonly config: string
}

/** --data, else KUMOI_DATA, else ~/.kumoi. */
export function dataDirectory(chosen: string | undefined, env: World['env']): string {
  const named = chosen ?? env['KUMOI_DATA']
  return named === undefined || named === '' ? join(homedir(), '.kumoi') : resolve(named)
}

/** --socket, else KUMOI_SOCKET; undefined: the node's own. */
export function socketPath(chosen: string | undefined, env: World['env']): string | undefined {
  const named = chosen ?? env['KUMOI_SOCKET']
  return named === undefined || named === '' ? undefined : resolve(named)
}

/** KUMOI_CONFIG, else XDG_CONFIG_HOME/kumoi, else ~/.config/kumoi. */
export function configDirectory({ KUMOI_CONFIG: own, XDG_CONFIG_HOME: xdg }: World['env']): string {
  if (own !== undefined && own !== '') return resolve(own)
  return join(xdg !== undefined && xdg !== '' ? resolve(xdg) : join(homedir(), '.config'), 'kumoi')
}

/** Reads a readable stream to its end as text; for tickets and expressions given as "-". */
export async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  stream.setEncoding('utf8')
  for await (const chunk of stream) text += String(chunk)
  return text
}
