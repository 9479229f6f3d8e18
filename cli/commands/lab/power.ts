// `kumoi lab kill|start|stop-node|start-node HOST`: what befalls a machine, and its end.

import { defineCommand } from '../../command.ts'
import type { AnyCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import type { LabHost, LabRecord } from '../../lab/contract.ts'
import { killHost, startHost, startLabNode, stopLabNode } from '../../lab/lab.ts'
import type { LabWorld } from '../../lab/lab.ts'
import { hostOf } from '../../lab/record.ts'
import { LAB_OPTIONS, openLab } from '../../lab/shell.ts'

interface Verb { readonly summary: string; readonly done: string; act(world: LabWorld, record: LabRecord, host: LabHost): Promise<void> }

const VERBS = {
  'kill': { summary: 'Cut a host\'s power: its node, libvirtd and guests end at once', done: 'is off', act: killHost },
  'start': { summary: 'Switch a host on again', done: 'is up', act: startHost },
  'stop-node': { summary: 'Make a host\'s node leave and stop; its guests run on', done: 'has no node now', act: (world, _record, host) => stopLabNode(world, host) },
  'start-node': { summary: 'Start a host\'s node again; it adopts the guests', done: 'has its node', act: startLabNode },
} as const satisfies Readonly<Record<string, Verb>>

export const powerCommand = (verb: keyof typeof VERBS): AnyCommand => {
  const { summary, done, act } = VERBS[verb]
  return defineCommand({
    name: `lab ${verb}`, summary, operands: '<host>', options: LAB_OPTIONS,
    examples: [{ command: `kumoi lab ${verb} host2`, does: summary.toLowerCase() }],
    output: 'value',
    async run(shell, [name], choice) {
      const { world, record } = await openLab(shell, choice)
      const host = hostOf(record, name)
      await act(world, record, host)
      shell.out.result({ host: host.name, verb }, () => `${host.name} ${done}`)
      return EXIT.done
    },
  })
}
