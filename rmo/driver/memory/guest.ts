// One running guest: its time, its load, and what it says. Pure: functions of (guest, now).
//
//   guest time   0 ------ bootMs ------------------------------------->   stands still while paused, goes on after a save
//   load         full     trace, or full where it was told to burn or hangs
//
// Counters are folded (brought up to now and started afresh) only when what they depend on changes.

import { busyUntil, ratioAt } from './trace.ts'
import type { Trace } from './trace.ts'

/** As good as for ever, and a number in JSON. */
const FOREVER_MS = Number.MAX_SAFE_INTEGER

export interface Span { readonly fromMs: number; readonly toMs: number }

export interface Guest {
  readonly trace: Trace
  readonly vcpus: number
  readonly memoryMiB: number
  readonly bootMs: number
  /** Guest time up to `sinceMs`. */
  readonly ranMs: number
  /** Clock time since which guest time runs; undefined: paused. */
  readonly sinceMs: number | undefined
  /** Guest time of its last boot; a reboot sets it. */
  readonly bootedAtMs: number
  /** Guest time at 0 of the clock, as long as it runs on: where a trace on the clock begins. */
  readonly clockZeroMs: number
  /** Guest times at which it is busy whatever its trace says; in order, apart. */
  readonly burns: readonly Span[]
  /** CPU time of all vcpus, and of which the disk had its share, up to guest time `foldedAtMs`. */
  readonly cpuMs: number
  readonly diskMs: number
  readonly foldedAtMs: number
  /** 1; more makes its disk slower. */
  readonly slowness: number
  readonly hung: boolean
}

export interface GuestSpec { readonly trace: Trace; readonly vcpus: number; readonly memoryMiB: number; readonly bootMs: number; readonly slowness: number }

export const bootGuest = (spec: GuestSpec, nowMs: number): Guest => ({
  ...spec, ranMs: 0, sinceMs: nowMs, bootedAtMs: 0, clockZeroMs: -nowMs, burns: [{ fromMs: 0, toMs: spec.bootMs }],
  cpuMs: 0, diskMs: 0, foldedAtMs: 0, hung: false,
})

export const guestTime = ({ ranMs, sinceMs }: Guest, nowMs: number): number => ranMs + (sinceMs === undefined ? 0 : Math.max(0, nowMs - sinceMs))

/** It has run for so long already. */
export const agedGuest = (guest: Guest, ranMs: number): Guest => ({ ...guest, ranMs, clockZeroMs: guest.clockZeroMs + ranMs })
/** Guest time at which its trace begins. */
const traceZeroMs = ({ trace, bootedAtMs, clockZeroMs }: Guest): number => (trace.onClock === true ? clockZeroMs : bootedAtMs)

/** Busy time of one vcpu between two guest times. */
function busyBetween(guest: Guest, fromMs: number, toMs: number): number {
  const { trace, burns } = guest, zeroMs = traceZeroMs(guest)
  let busy = busyUntil(trace, toMs - zeroMs) - busyUntil(trace, fromMs - zeroMs)
  for (const burn of burns) {
    const a = Math.max(fromMs, burn.fromMs), b = Math.min(toMs, burn.toMs)
    if (b > a) busy += b - a - (busyUntil(trace, b - zeroMs) - busyUntil(trace, a - zeroMs))
  }
  return busy
}

/** CPU time used, all vcpus together, since the guest was started. */
export const cpuTimeMs = (guest: Guest, nowMs: number): number => guest.cpuMs + guest.vcpus * Math.max(0, busyBetween(guest, guest.foldedAtMs, guestTime(guest, nowMs)))

/** CPU time with which the disk kept pace, of the guest's CPU time: what disk counters are made from. */
export const diskTimeMs = (guest: Guest, cpuMs: number): number => guest.diskMs + (cpuMs - guest.cpuMs) / guest.slowness

/** Share of its vcpus in use now. */
export function loadRatio(guest: Guest, nowMs: number): number {
  if (guest.sinceMs === undefined) return 0
  const at = guestTime(guest, nowMs)
  return guest.burns.some(({ fromMs, toMs }) => at >= fromMs && at < toMs) ? 1 : ratioAt(guest.trace, at - traceZeroMs(guest))
}

/** Time since its last boot began. */
export const uptimeMs = (guest: Guest, nowMs: number): number => guestTime(guest, nowMs) - guest.bootedAtMs
export const isUp = (guest: Guest, nowMs: number): boolean => uptimeMs(guest, nowMs) >= guest.bootMs

function fold(guest: Guest, nowMs: number): Guest {
  const atMs = guestTime(guest, nowMs), cpuMs = cpuTimeMs(guest, nowMs)
  return {
    ...guest, cpuMs, diskMs: diskTimeMs(guest, cpuMs), foldedAtMs: atMs,
    burns: guest.burns.filter(({ toMs }) => toMs > atMs),
  }
}

export const pauseGuest = (guest: Guest, nowMs: number): Guest => ({ ...guest, ranMs: guestTime(guest, nowMs), sinceMs: undefined })
export const resumeGuest = (guest: Guest, nowMs: number): Guest => guest.sinceMs === undefined ? { ...fold(guest, nowMs), sinceMs: nowMs, clockZeroMs: guest.ranMs - nowMs } : guest
export const slowGuest = (guest: Guest, slowness: number, nowMs: number): Guest => ({ ...fold(guest, nowMs), slowness })
/** Balloon: less (or more, up to what it was started with) from now on. */
export const balloonGuest = (guest: Guest, memoryMiB: number): Guest => ({ ...guest, memoryMiB })

export function rebootGuest(guest: Guest, nowMs: number): Guest {
  const folded = fold(guest, nowMs)
  return { ...folded, bootedAtMs: folded.foldedAtMs, hung: false, burns: [{ fromMs: folded.foldedAtMs, toMs: folded.foldedAtMs + guest.bootMs }] }
}

/** Busy from now for `forMs` (FOREVER_MS: until stopped; 0: stops burning). */
export function burnGuest(guest: Guest, forMs: number, nowMs: number): Guest {
  const folded = fold(guest, nowMs), fromMs = folded.foldedAtMs
  const booting = { fromMs, toMs: folded.bootedAtMs + folded.bootMs }
  const toMs = Math.max(Math.min(FOREVER_MS, fromMs + forMs), booting.toMs)
  return { ...folded, burns: toMs > fromMs ? [{ fromMs, toMs }] : [] }
}

/** Busy for nothing, deaf and dumb, until it is reset. */
export const hangGuest = (guest: Guest, nowMs: number): Guest => ({ ...burnGuest(guest, FOREVER_MS, nowMs), hung: true })

/** What its balloon says it uses: a base, and more the busier it is; a hung one says nothing. */
export function memoryUsedMiB(guest: Guest, nowMs: number): number | undefined {
  if (guest.hung) return undefined
  return guest.memoryMiB * (isUp(guest, nowMs) ? 0.2 + 0.5 * loadRatio(guest, nowMs) : 0.1)
}

export interface GuestNames { readonly hostname: string; readonly instanceId: string }
/** The line that the test guest prints when it is up (cli/lab's guest image prints the same). */
export const bootLine = ({ hostname, instanceId }: GuestNames): string => `kumoi-guest: up ${hostname} ${instanceId}\r\n`

/** One line typed at its serial console: what it answers, and how it goes on. */
export function answerLine(guest: Guest, names: GuestNames, line: string, nowMs: number): { readonly text: string; readonly guest: Guest } {
  const [command = '', argument = ''] = line.trim().split(/\s+/, 2)
  const say = (text: string, next: Guest = guest) => ({ text: text === '' ? '' : `${text}\r\n`, guest: next })
  const seconds = argument === 'on' ? FOREVER_MS / 1_000 : argument === 'off' ? 0 : Number(argument === '' ? NaN : argument)
  switch (command) {
    case '': return say('')
    case 'hostname': return say(names.hostname)
    case 'instance': return say(names.instanceId)
    case 'uptime': return say(`up ${Math.floor(uptimeMs(guest, nowMs) / 1_000)} seconds`)
    case 'burn': return Number.isNaN(seconds) || seconds < 0 ? say('usage: burn SECONDS|on|off') : say(`burning ${argument}`, burnGuest(guest, seconds * 1_000, nowMs))
    default: return say(`${command}: not found; there are: hostname, instance, uptime, burn`)
  }
}
