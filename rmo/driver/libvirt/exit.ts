// A process that exits joins its threads, and a thread stuck in libvirt (a daemon that was stopped) never ends: the
// process would hang at its end. When some are stuck then, the process leaves by C's _exit, which joins nobody.

import { createRequire } from 'node:module'

const stuck = new Set<() => boolean>()

function leave(code: number): void {
  if (![...stuck].some((is) => is())) return
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi')
  koffi.load(null).func('void _exit(int code)')(Number(process.exitCode ?? code))
}

/** Looks at `isStuck` when the process exits; answers a function that forgets it. */
export function exitDespite(isStuck: () => boolean): () => void {
  if (stuck.size === 0) process.on('exit', leave)
  stuck.add(isStuck)
  return () => {
    stuck.delete(isStuck)
    if (stuck.size === 0) process.off('exit', leave)
  }
}
