// Second door of kali/, beside mod.ts: what programs and the files of deployed functions get of it from 'kumoi'. Loads
// nothing, so that neither a shell nor the type check of a function's file waits for a node's parts.

export { byRank, schedulerDefinition } from './placement/user-scheduler.ts'
export type { SchedulableMachine, SchedulerChoice, SchedulerDefinition, UserScheduler } from './placement/user-scheduler.ts'
