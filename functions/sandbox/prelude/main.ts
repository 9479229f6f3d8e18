// Entry of the prelude bundle: the first code in every isolate. `boot` is called once by the lane with the
// two callbacks; it shapes the realm and returns the functions that the lane keeps References to. User code
// is linked after that and never sees any of these names (bundle.ts wraps the bundle in a function).

import './primordials.ts'
import type { KindShape } from '../../contract.ts'
import { RUN_KEPT, RUN_PROBE } from '../frames.ts'
import { answer } from './host-calls.ts'
import { defineShapes } from './handles.ts'
import { errorJson } from './error-capture.ts'
import { host, type Host } from './host.ts'
import { keep, keptItems } from './kept.ts'
import { JSONParse, JSONStringify } from './primordials.ts'
import { loadPlan, missingPackage, type LoadedPlan, type PlanText } from './plan.ts'
import { addPackage } from './packages.ts'
import { expireRun, startRun } from './run.ts'
import { forgetStanding } from './standing.ts'
import { fireTimer } from './timers.ts'
import { shapeRealm } from './globals.ts'
import { encodeOutputs } from './value.ts'

let plan: LoadedPlan | undefined

/** '' when the plan is ready, 'P' + request when a package is missing, 'E' + error record when it cannot be linked. */
function load(json: string, initial: Uint8Array | undefined, ...blobs: (string | Uint8Array)[]): string {
  const codes = new Map<string, string>()
  const environments = new Map<string, Uint8Array>()
  for (let i = 0; i + 1 < blobs.length; i += 2) {
    const hash = blobs[i] as string
    const blob = blobs[i + 1] as string | Uint8Array
    if (typeof blob === 'string') codes.set(hash, blob)
    else environments.set(hash, blob)
  }
  try {
    const missing = missingPackage(codes)
    if (missing !== undefined) return `P${missing}`
    plan = loadPlan(json, codes, environments, initial)
    return ''
  } catch (error) {
    return `E${errorJson(error, 'FUNCTIONS_ERR_SANDBOX_LINK', undefined)}`
  }
}

function run(job: number, base: number, from: number, count: number, start: number, step: number, flags: number, items: Uint8Array | undefined): Uint8Array | undefined {
  const kept = (flags & RUN_KEPT) === 0 ? undefined : keptItems(items as Uint8Array)
  return startRun(plan as LoadedPlan, { job, base, from, count, start, step, items, kept, probe: (flags & RUN_PROBE) !== 0 })
}

/**
 * Links and runs a function of our own, so that V8 has compiled what every first run needs (the codec above
 * all): done in spares, ahead of the user's call. Leaves no state behind but a plan that `load` replaces.
 */
function rehearse(): void {
  const text: PlanText = {
    stages: [{ verb: 'map', code: 'code', environment: '', name: 'rehearsal' }], terminal: { verb: 'collect' },
    concurrency: 1, resultBytes: 1_024, hostCalls: 0, hostCallsInFlight: 1, hostCallBytes: 1_024, consoleBytes: 0,
  }
  load(JSONStringify(text), undefined, 'code', '(environment, runtime) => runtime.link(environment, [[0, () => () => (value) => ({ value, list: [value, "text", 1.5] })]], [])')
  run(1, 0, 0, 2, 0, 0, 0, encodeOutputs([1, { a: 'text', b: [1, 2.5, true, null] }], 1_024))
  plan = undefined
}

/** A do-nothing call: answered once everything before it has run, microtasks included. */
const ping = (): void => {}

export function boot(post: Host['post'], announce: Host['announce'], shapes: string): object {
  host.post = post
  host.announce = announce
  defineShapes(JSONParse(shapes) as KindShape[])
  shapeRealm()
  return { load, run, answer, expire: expireRun, timer: fireTimer, package: addPackage, ping, rehearse, keep, forgetStanding }
}
