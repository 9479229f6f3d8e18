// `kumoi calls [NAME]` and `kumoi dead [NAME]`: asynchronous calls that wait or run, and those that failed for good.

import type { QueuedCall } from '../../functions/mod.ts'
import { defineCommand } from '../command.ts'
import { EXIT } from '../errors.ts'
import { table } from '../render/table.ts'
import type { Column, TableLayout } from '../render/table.ts'
import { durationText } from '../render/units.ts'
import { withDataCenter } from '../session.ts'
import { refuseUnknown } from '../unknown-function.ts'

const WAITING: readonly Column[] = [
  { title: 'name' }, { title: 'id' }, { title: 'state' }, { title: 'cause' }, { title: 'attempts', align: 'right' }, { title: 'age', align: 'right' }, { title: 'next in', align: 'right' }, { title: 'last error' },
]
const DEAD: readonly Column[] = [{ title: 'name' }, { title: 'id' }, { title: 'cause' }, { title: 'attempts', align: 'right' }, { title: 'age', align: 'right' }, { title: 'error' }]

const errorText = ({ error }: QueuedCall): string => (error === undefined ? '-' : error.message)
const nextText = ({ nextAtMs }: QueuedCall, nowMs: number): string => (nextAtMs === undefined ? '-' : nextAtMs <= nowMs ? 'now' : durationText(nextAtMs - nowMs))

const waitingTable = (calls: readonly QueuedCall[], layout: TableLayout, nowMs: number): string => table(WAITING, calls.map((call) => [
  call.name, call.id, call.state, call.cause, String(call.attempts), durationText(nowMs - call.enqueuedAtMs), nextText(call, nowMs), errorText(call),
]), layout)
const deadTable = (calls: readonly QueuedCall[], layout: TableLayout, nowMs: number): string => table(DEAD, calls.map((call) => [
  call.name, call.id, call.cause, String(call.attempts), durationText(nowMs - call.enqueuedAtMs), errorText(call),
]), layout)

export const callsCommand = defineCommand({
  name: 'calls',
  summary: 'List asynchronous calls that wait or run',
  operands: '[name]',
  options: {},
  examples: [{ command: 'kumoi calls', does: 'of all functions' }, { command: 'kumoi --json calls send-mail', does: 'of one, with their payloads' }],
  output: 'value',
  run: (shell, [name]) => withDataCenter(shell, async (dc) => {
    const calls = await dc.functions.waiting(name)
    await refuseUnknown(dc, name, calls.length)
    shell.out.result(calls, (layout) => (calls.length === 0 ? undefined : waitingTable(calls, layout, shell.world.clock.wallMs())))
    if (calls.length === 0 && !shell.settings.json) shell.out.note('No call waits.')
    return EXIT.done
  }),
})

export const deadCommand = defineCommand({
  name: 'dead',
  summary: 'List asynchronous calls that failed for good',
  operands: '[name]',
  details: 'They are kept until `kumoi redrive` or `kumoi discard`.',
  options: {},
  examples: [{ command: 'kumoi dead', does: 'of all functions' }, { command: 'kumoi --json dead send-mail', does: 'with their payloads and errors' }],
  output: 'value',
  run: (shell, [name]) => withDataCenter(shell, async (dc) => {
    const calls = await dc.functions.dead(name)
    await refuseUnknown(dc, name, calls.length)
    shell.out.result(calls, (layout) => (calls.length === 0 ? undefined : deadTable(calls, layout, shell.world.clock.wallMs())))
    if (calls.length === 0 && !shell.settings.json) shell.out.note('No call has failed for good.')
    return EXIT.done
  }),
})
