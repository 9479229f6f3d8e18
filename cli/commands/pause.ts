// `kumoi pause NAME...` and `kumoi resume NAME...`.

import { eachName } from '../by-name.ts'
import { defineCommand } from '../command.ts'
import type { AnyCommand } from '../command.ts'
import { withDataCenter } from '../session.ts'

const WORDS = {
  pause: { summary: 'Stop functions from being run; their triggers rest', done: 'paused', does: 'calls are refused, ticks and events pass by' },
  resume: { summary: 'Let paused functions run again', done: 'resumed', does: 'from the next tick, event or call on' },
} as const

export const pauseCommand = (verb: keyof typeof WORDS): AnyCommand => defineCommand({
  name: verb,
  summary: WORDS[verb].summary,
  operands: '<names...>',
  options: {},
  examples: [{ command: `kumoi ${verb} hot-machines`, does: WORDS[verb].does }],
  output: 'value',
  run: (shell, names) => withDataCenter(shell, (dc) => eachName(shell, names, { done: WORDS[verb].done, work: (name) => dc.functions[verb](name) })),
})
