// Topics: what a function says under a name is a call of each function that has the name as a trigger.
//
// Who hears it: functions that were deployed by the same person as the one that speaks, and, of others, only those of whose
// deployer the speaker is (a shell speaks as itself). So nobody can make a stranger's function run, with its rights, by
// guessing a name, and emit needs no right of its own. A topic that nobody has is fine: it answers 0. A loop of topics ends
// with the budget that travels with the calls (plan/call-budget.ts: a call nobody waits for gets the square root).

import { LIMITS } from '../../fabric/base.ts'
import type { CallAuthority, CallScope, Catalog, DeployedFunction, SystemCalls } from '../deployed.ts'
import { FUNCTIONS } from '../errors.ts'
import { checkPayload } from '../invoke/items.ts'

const TOPIC = /^[a-zA-Z0-9][a-zA-Z0-9._/-]*$/

/** Throws PAYLOAD_INVALID. */
function checkTopic(topic: unknown): string {
  if (typeof topic === 'string' && topic.length <= LIMITS.topicCharsMax && TOPIC.test(topic)) return topic
  throw FUNCTIONS.PAYLOAD_INVALID({ what: 'the topic', expected: `letters, digits and ._/- (at most ${LIMITS.topicCharsMax})`, got: typeof topic === 'string' ? topic.slice(0, 40) : typeof topic })
}

/** Functions that hear `topic` when `deployer` (or a function that he deployed) says it; not the paused ones. */
export const subscribersOf = (catalog: Pick<Catalog, 'list'>, topic: string, deployer: string): readonly DeployedFunction[] =>
  catalog.list().filter(({ record, manifest }) => !record.paused && record.by === deployer && manifest.triggers.some((trigger) => trigger.type === 'topic' && trigger.topic === topic))

export interface TopicsOptions {
  readonly systemCalls: SystemCalls
  /** One durable call for each subscriber; answers how many. */
  emit(topic: string, payload: Uint8Array, options: { readonly from: string; readonly deployer: string; readonly budget: number }, authority: CallAuthority): Promise<number>
}

/** The system call 'emit': [topic, bytes of an array of one value]. A chunk that is run again has its answer from the journal: it is made once. */
export function registerTopics({ systemCalls, emit }: TopicsOptions): void {
  systemCalls.register('emit', async ([topic, payload], scope: CallScope, authority) => {
    const name = checkTopic(topic)
    if (!(payload instanceof Uint8Array)) throw FUNCTIONS.BAD_MESSAGE({ what: 'the payload of an emit' })
    // A hostile cell made it: what is put among other calls' payloads must be one value.
    checkPayload(payload, LIMITS.payloadBytesMax)
    return emit(name, payload, { from: scope.name, deployer: scope.deployer, budget: scope.budget }, authority)
  })
}
