// The serial console of a simulated guest: prints a boot line, echoes what is typed, answers a few commands.
//
// Nothing is kept while nobody listens: whoever opens the console of a guest that is up is told its boot line, and one
// timer waits for the boot of one that is not. A hung or paused guest says nothing.

import { LIMITS } from '../../../fabric/base.ts'
import type { Timer } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { ConsoleChannel } from '../contract.ts'
import { answerLine, bootLine, isUp, uptimeMs } from './guest.ts'
import type { GuestNames } from './guest.ts'
import { invalidState, isActive } from './world.ts'
import type { ConsoleEnd, Domain, World } from './world.ts'

/** Timers of the system may ring a little early: the next look is this much later. */
const GREET_MS_MIN = 1

/** What the guest was told at its first boot. */
export function namesOf({ uuid, settings, metadata }: Domain): GuestNames {
  const { hostname } = settings.context ?? metadata.context ?? {}
  return { hostname: hostname ?? settings.name, instanceId: settings.instanceId ?? metadata.instanceId ?? uuid }
}

export function openConsole(world: World, domain: Domain): ConsoleChannel {
  const { clock } = world
  if (!isActive(domain)) throw invalidState(domain, 'the console', 'running')
  if (domain.consoles.size >= LIMITS.memoryConsolesMax) throw RMO.BUSY({ what: `consoles of ${domain.settings.name}`, machine: world.host, limit: LIMITS.memoryConsolesMax })
  const encoder = new TextEncoder(), decoder = new TextDecoder()
  const dataListeners: ((bytes: Uint8Array) => void)[] = [], closeListeners: ((reason: string) => void)[] = []
  /** Said before anybody listened. */
  let early = ''
  let typed = ''
  let closedBy: string | undefined

  const hear = (text: string): void => {
    if (text === '') return
    if (dataListeners.length === 0) early += text
    else for (const listener of dataListeners) listener(encoder.encode(text))
  }
  const close = (reason: string): void => {
    if (closedBy !== undefined) return
    closedBy = reason
    domain.consoles.delete(end)
    boot?.cancel()
    for (const listener of closeListeners) listener(reason)
  }
  const end: ConsoleEnd = { hear, hangUp: close }
  let boot: Timer | undefined
  /** The boot line, as soon as the guest is up; a paused one comes up later, a hung one never. */
  const greet = (): void => {
    const { guest } = domain
    if (guest === undefined || guest.hung) return
    const leftMs = guest.bootMs - uptimeMs(guest, clock.nowMs())
    if (leftMs <= 0) hear(bootLine(namesOf(domain)))
    else boot = clock.after(Math.max(leftMs, GREET_MS_MIN), greet, { background: true })
  }
  domain.consoles.add(end)
  greet()

  /** The guest reads one line and answers to everybody who listens. */
  const enter = (line: string): void => {
    const { guest } = domain
    if (guest === undefined || guest.hung || guest.sinceMs === undefined || !isUp(guest, clock.nowMs())) return
    const answer = answerLine(guest, namesOf(domain), line, clock.nowMs())
    if (answer.guest !== guest) {
      domain.guest = answer.guest
      world.touch(domain)
    }
    for (const console of domain.consoles) console.hear(`${line}\r\n${answer.text}`)
  }
  return {
    write(bytes) {
      if (closedBy !== undefined) return Promise.reject(RMO.GONE({ kind: 'console', name: domain.settings.name, reason: closedBy }))
      typed = (typed + decoder.decode(bytes, { stream: true })).slice(-LIMITS.memoryConsoleLineCharsMax)
      const lines = typed.split(/\r\n|\r|\n/)
      typed = lines.pop() ?? ''
      for (const line of lines) enter(line)
      return Promise.resolve()
    },
    onData(listener) {
      dataListeners.push(listener)
      const text = early
      early = ''
      if (text !== '') listener(encoder.encode(text))
    },
    onClose(listener) {
      if (closedBy === undefined) closeListeners.push(listener)
      else listener(closedBy)
    },
    close: () => close('closed'),
  }
}
