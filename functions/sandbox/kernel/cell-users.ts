// Users that cells run under: one for each living cell, never root, known to no password file, so that two cells, and
// a cell and its node, can neither signal nor trace each other. Two nodes of one machine never share one: a number is
// made of the node's process id, and in one process the slots are counted here, for all sandboxes.
//
// The range 0x70000000 to 0x7fffffff is the one that systemd's table of user ids leaves to nobody (UIDS-GIDS.md).

import { LIMITS } from '../../../fabric/base.ts'

/** 2^22 process ids (the kernel's own bound) of 2^6 slots fill the range exactly. */
export const CELL_UID_FIRST = 0x7000_0000
const PROCESS_IDS = 0x40_0000

const taken = new Set<number>()

export interface CellUser {
  readonly uid: number
  /** Only after the cell is gone: the next one with this number could signal it. */
  leave(): void
}

/** Undefined when every slot of this process is taken. */
export function takeCellUser(pid: number = process.pid): CellUser | undefined {
  for (let slot = 0; slot < LIMITS.cellUsersMax; slot++) {
    if (taken.has(slot)) continue
    taken.add(slot)
    return { uid: CELL_UID_FIRST + (pid % PROCESS_IDS) * LIMITS.cellUsersMax + slot, leave: () => { taken.delete(slot) } }
  }
  return undefined
}
