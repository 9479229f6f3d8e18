// A hardware watchdog (/dev/watchdog, or softdog): resets the machine when nobody has written to it for its own timeout.
// Opened with the first guest, written to while no deadline has passed, let go of in good order ("V") with the last.
// From a deadline on it is not written to until the guests are off, so its timeout counts from then: W of the timings.
// Source: Documentation/watchdog/watchdog-api.rst. Used by the watchdog's own process; imports nothing but Node.

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { basename } from 'node:path'

export interface Hardware { pet(): void; disarm(): void }

/** Throws when its timeout is longer than `timeoutMsMax`, or cannot be known, or somebody else has it open. */
export function openHardware(path: string, timeoutMsMax: number): Hardware {
  // /dev/watchdog is the first one.
  const name = basename(path) === 'watchdog' ? 'watchdog0' : basename(path)
  const timeoutMs = Number(readFileSync(`/sys/class/watchdog/${name}/timeout`, 'utf8')) * 1_000
  if (!(timeoutMs > 0 && timeoutMs <= timeoutMsMax)) throw new Error(`${path} resets after ${timeoutMs} ms, and ${timeoutMsMax} were promised`)
  return onDevice(path)
}

/** Without asking for its timeout. */
export function onDevice(path: string): Hardware {
  const file = openSync(path, 'w')
  return {
    pet: () => { writeSync(file, '\0') },
    disarm() {
      writeSync(file, 'V')
      closeSync(file)
    },
  }
}
