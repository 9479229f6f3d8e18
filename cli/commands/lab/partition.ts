// `kumoi lab partition GROUP...`, `kumoi lab heal`: the cable between the hosts is cut, and mended.

import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { healLab, partitionLab } from '../../lab/lab.ts'
import { LAB_OPTIONS, openLab } from '../../lab/shell.ts'

export const partitionCommand = defineCommand({
  name: 'lab partition',
  summary: 'Cut the network between groups of hosts',
  operands: '<groups...>',
  details: 'A group is names with commas; hosts that are not named stay together in a group of their own. Nothing is reset: frames between groups are lost. Replaces an earlier partition.',
  options: LAB_OPTIONS,
  examples: [{ command: 'kumoi lab partition host1,host2 host3', does: 'host3 is alone' }, { command: 'kumoi lab partition host3', does: 'the same' }],
  output: 'value',
  async run(shell, words, choice) {
    const { world, record } = await openLab(shell, choice)
    const groups = words.map((word) => word.split(',').filter((name) => name !== ''))
    await partitionLab(world, record, groups)
    shell.out.result({ groups }, () => `${record.name} is parted: ${words.join(' | ')}`)
    return EXIT.done
  },
})

export const healCommand = defineCommand({
  name: 'lab heal',
  summary: 'Mend the network: all hosts reach each other again',
  operands: '',
  options: LAB_OPTIONS,
  examples: [{ command: 'kumoi lab heal', does: 'undo any partition' }],
  output: 'value',
  async run(shell, _operands, choice) {
    const { world, record } = await openLab(shell, choice)
    await healLab(world, record)
    shell.out.result({ groups: [record.hosts.map(({ name }) => name)] }, () => `${record.name} is whole`)
    return EXIT.done
  },
})
