// The order of what happens on a host: each event and each change of our own takes the next number.

export interface Numbers { next(): number; now(): number }

export function createNumbers(): Numbers {
  let last = 0
  return { next: () => ++last, now: () => last }
}
