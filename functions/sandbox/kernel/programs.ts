// Where the machine's own small programs are: looked up once in the usual folders and never in PATH, which may be anybody's.

import { existsSync } from 'node:fs'

const FOLDERS = ['/usr/bin', '/bin', '/usr/sbin', '/sbin']

/** Absolute, or the bare name when it is nowhere: starting it then says so. */
export function programPath(name: string): string {
  const folder = FOLDERS.find((candidate) => existsSync(`${candidate}/${name}`))
  return folder === undefined ? name : `${folder}/${name}`
}
