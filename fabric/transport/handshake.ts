// The hello over one wire: feeds the admission machine (fabric/identity/admission.ts) and answers once.
//
// Nothing but hello messages passes before it, each at most LIMITS.helloBytesMax, all of it within
// LIMITS.helloTimeoutMs. The outcome is reported synchronously, inside the frame that decided it, so that
// the next frame already reaches the wire's new owner.

import type { Clock } from '../clock.ts'
import type { CodedError } from '../errors.ts'
import { FABRIC } from '../errors-table.ts'
import { WAITING, acceptStep, dialStep, openingMessage } from '../identity/admission.ts'
import type { AdmissionContext, AdmissionState, DialPurpose } from '../identity/admission.ts'
import { decodeHello, encodeHello } from '../identity/hello.ts'
import type { Introduction, StreamKind } from '../identity/hello.ts'
import { LIMITS } from '../limits.ts'
import type { Wire } from './wire.ts'

export type Greeting =
  | { readonly at: 'up'; readonly peer: Introduction; readonly stream: StreamKind; readonly ours: Introduction }
  | (AdmissionState & { readonly at: 'served' | 'joined' })
  | { readonly at: 'refused'; readonly error: CodedError }

export interface GreetOptions {
  readonly wire: Wire
  /** Why this side dialled; undefined on the accepting side. */
  readonly purpose: DialPurpose | undefined
  readonly clock: Clock
  readonly context: () => AdmissionContext
  /** Our number of the link that a certified peer's introduction belongs to; ends a link it proves stale. */
  readonly linkFor: (peer: Introduction) => number
  readonly done: (greeting: Greeting) => void
}

export function greet(options: GreetOptions): void {
  const { wire, purpose, clock } = options
  // What the peer is told of us, link number included: the one meant to the end of the exchange.
  let ours = options.context().self
  let state = WAITING
  let over = false

  const finish = (greeting: Greeting): void => {
    if (over) return
    over = true
    timer.cancel()
    options.done(greeting)
  }
  const refuse = (why: string): void => finish({ at: 'refused', error: FABRIC.HELLO_INVALID({ peer: wire.remote, why }) })

  const timer = clock.after(LIMITS.helloTimeoutMs, () => {
    refuse(`it did not complete within ${LIMITS.helloTimeoutMs} ms`)
    wire.destroy('silent')
  }, { background: true })

  wire.handle({
    drain: () => {},
    close: () => refuse('the stream ended before it was complete'),
    frame: (channel, frame) => {
      if (over) return
      if (channel !== 'control') {
        refuse('it sent frames before its hello')
        return wire.destroy('broken')
      }
      const step = take(frame)
      state = step.state
      if (step.send?.type === 'welcome' && state.at === 'welcomed') {
        ours = { ...step.send, link: options.linkFor(state.peer) }
        wire.send('control', encodeHello({ type: 'welcome', ...ours }))
      } else if (step.send !== undefined) wire.send('control', encodeHello(step.send))
      if (state.at === 'waiting' || state.at === 'welcomed') return
      if (state.at === 'up') {
        wire.admit()
        return finish({ at: 'up', peer: state.peer, stream: state.stream, ours: ours as Introduction })
      }
      // Ending, not destroying, lets the refusal or the certificate reach the peer first.
      finish(state)
      wire.end()
    },
  })

  function take(frame: Uint8Array): ReturnType<typeof acceptStep> {
    try {
      const message = decodeHello(frame, wire.remote)
      return purpose === undefined ? acceptStep(state, message, options.context()) : dialStep(purpose, message, options.context())
    } catch (error) {
      return { state: { at: 'refused', error: error as CodedError } }
    }
  }

  if (purpose !== undefined) wire.send('control', encodeHello(openingMessage(purpose, ours)))
}
