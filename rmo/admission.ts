// The gate's word may be old by the time a change gets its turn: a verb that waited for an object's lock asks again, so that
// what a singleton was admitted to do in one epoch does not land in a later one. Carried with the call's own execution
// (AsyncLocalStorage), since the lock is taken deep inside drivers and rooms, by whatever the verb needs.

import { AsyncLocalStorage } from 'node:async_hooks'

const admissions = new AsyncLocalStorage<() => Promise<void>>()

/** Runs `work`; while it runs, readmitted() asks `again`. */
export const admitted = <T>(again: () => Promise<void>, work: () => T): T => admissions.run(again, work)

/** Resolves when the call under way may still do what it was admitted for; rejects as the gate does. */
export const readmitted = async (): Promise<void> => { await admissions.getStore()?.() }
