// The data directory of a node: where it is, and what lies in it.

import { homedir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'

/** KUMOI_DATA, else ~/.kumoi. */
export function dataDir(given?: string): string {
  return resolve(given ?? process.env['KUMOI_DATA'] ?? join(homedir(), '.kumoi'))
}

/** The local door of a node: a Unix socket, mode 0600. */
export const socketPath = (data: string): string => join(data, 'node.sock')
export const blobsPath = (data: string): string => join(data, 'blobs')
export const cachePath = (data: string): string => join(data, 'cache')
export const storePath = (data: string): string => join(data, 'store')

/** Principal of whoever holds the local socket. */
export const localPrincipal = (): string => `local:${userInfo().uid}`
