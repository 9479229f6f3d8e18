// The serial console of a VM as text: opened at the first question, kept for a while with the last 64 KiB it said.
//
// A hypervisor gives a console to one reader at a time; it is let go LIMITS.vmSerialIdleMs after the last question, and
// when the VM goes off.

import { LIMITS, errorCode } from '../../../fabric/base.ts'
import type { Timer } from '../../../fabric/base.ts'
import type { Authority } from '../../../functions/mod.ts'
import type { ByteChannel } from '../../byte-streams.ts'
import type { ConsoleChannel } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import type { SerialWish } from '../../kinds/vm.ts'
import { mustDo } from '../../vm-state.ts'
import type { HostVm } from './vm.ts'
import type { VmContext } from './vm-context.ts'

interface Console {
  readonly channel: ConsoleChannel
  /** The newest LIMITS.vmSerialBytes. */
  text: string
  /** Characters ever said; where `text` ends. */
  said: number
  closed: boolean
  idle: Timer | undefined
  readonly listeners: Set<() => void>
}

const consoles = new WeakMap<HostVm, Promise<Console>>()

/** A console that was closed just now is let go by the hypervisor a moment later: asked again for LIMITS.vmConsoleReleaseMs. */
async function openWhenFree({ host }: VmContext, vm: HostVm, authority: Authority): Promise<ConsoleChannel> {
  const endsAtMs = host.clock.nowMs() + LIMITS.vmConsoleReleaseMs
  for (;;) {
    try {
      return await host.driver.domains.openConsole(vm.uuid, host.call(authority))
    } catch (error) {
      if (errorCode(error) !== RMO.IN_USE.code || host.clock.nowMs() > endsAtMs || authority.signal.aborted) throw error
      await new Promise<void>((resolve) => { host.clock.after(LIMITS.vmConsoleRetryMs, resolve) })
    }
  }
}

async function open(context: VmContext, vm: HostVm, authority: Authority): Promise<Console> {
  const channel = await openWhenFree(context, vm, authority)
  const decoder = new TextDecoder()
  const console: Console = { channel, text: '', said: 0, closed: false, idle: undefined, listeners: new Set() }
  const tell = (): void => { for (const listener of [...console.listeners]) listener() }
  channel.onData((bytes) => {
    const more = decoder.decode(bytes, { stream: true })
    console.said += more.length
    console.text = (console.text + more).slice(-LIMITS.vmSerialBytes)
    tell()
  })
  channel.onClose(() => { console.closed = true; console.idle?.cancel(); consoles.delete(vm); tell() })
  return console
}

/** The one that is open, or a new one. */
async function consoleOf(context: VmContext, vm: HostVm, authority: Authority): Promise<Console> {
  const present = consoles.get(vm) ?? open(context, vm, authority)
  consoles.set(vm, present)
  try {
    return await present
  } catch (error) {
    consoles.delete(vm)
    throw error
  }
}

/** What it said after `from`, as far as it is kept. */
const since = ({ text, said }: Console, from: number): string => text.slice(Math.max(0, text.length - (said - from)))

/** Resolves when `until` was said after `from`, when the console closed, or when the time is up. */
function waitFor(context: VmContext, console: Console, wish: { readonly from: number; readonly until: string | undefined; readonly timeoutMs: number }, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => { timer.cancel(); console.listeners.delete(look); signal.removeEventListener('abort', aborted); settle() }
    const look = (): void => { if (console.closed || (wish.until !== undefined && since(console, wish.from).includes(wish.until))) end(resolve) }
    const aborted = (): void => end(() => reject(signal.reason as Error))
    const timer = context.host.clock.after(wish.timeoutMs, () => end(resolve), { background: true })
    if (signal.aborted) { aborted(); return }
    signal.addEventListener('abort', aborted, { once: true })
    console.listeners.add(look)
    look()
  })
}

/** The console for one reader, bytes both ways; one that was kept for questions makes room. Rejects when another reader has it. */
export async function openConsole(context: VmContext, vm: HostVm, authority: Authority): Promise<ByteChannel> {
  mustDo('console', { name: vm.name, state: vm.record.state })
  const kept = await consoles.get(vm)?.catch(() => undefined)
  if (kept?.idle !== undefined) kept.channel.close()
  return openWhenFree(context, vm, authority)
}

export async function readSerial(context: VmContext, vm: HostVm, { input, until, timeoutMs }: SerialWish, authority: Authority): Promise<string> {
  mustDo('serial', { name: vm.name, state: vm.record.state })
  const console = await consoleOf(context, vm, authority)
  console.idle?.cancel()
  try {
    // With input, the answer is what came after it; without, all that is kept.
    const from = input === undefined ? console.said - console.text.length : console.said
    if (input !== undefined) await console.channel.write(new TextEncoder().encode(input))
    const waits = until !== undefined || input !== undefined || timeoutMs !== undefined
    if (waits) await waitFor(context, console, { from, until, timeoutMs: Math.min(timeoutMs ?? LIMITS.vmSerialTimeoutMs, authority.remainingMs()) }, authority.signal)
    return since(console, from)
  } finally {
    console.idle?.cancel()
    if (!console.closed) console.idle = context.host.clock.after(LIMITS.vmSerialIdleMs, () => console.channel.close(), { background: true })
  }
}
