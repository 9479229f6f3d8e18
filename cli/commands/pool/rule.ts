// `kumoi pool rule add|rm|list`: who stands together, apart, on which machines.

import type { RuleAnswer } from '../../../kali/contract.ts'
import { findPool } from '../../cloud.ts'
import { choice, defineCommand, repeated, wordOf } from '../../command.ts'
import { eachName } from '../../by-name.ts'
import { CLI, EXIT } from '../../errors.ts'
import { ruleText, rulesTable } from '../../render/cloud.ts'
import { withDataCenter } from '../../session.ts'

const TYPES = ['together', 'apart', 'on', 'not-on'] as const
const ACTIONS = ['add', 'rm', 'list'] as const
const ruleType = choice(...TYPES)

const usage = (problem: string, hint: string): never => { throw CLI.USAGE({ problem: `kumoi pool rule: ${problem}`, hint }) }

export const ruleCommand = defineCommand({
  name: 'pool rule',
  summary: 'Say which VMs belong together, apart, or on which machines',
  operands: '<action> <pool> [names...]',
  details: 'add POOL NAME, rm POOL NAME..., list POOL. VMs are named by name, by label ("tier=front") or by group ("group:web"). A rule binds every scheduler, and is refused when it cannot be kept; with --soft it is only preferred.',
  options: {
    type: { flags: '--type <type>', help: 'together, apart (by machine), on, not-on', parse: ruleType },
    vm: { flags: '--vm <vm>', help: 'name, label=value or group:NAME; may be repeated', parse: repeated },
    machine: { flags: '--machine <name>', help: 'of on and not-on; may be repeated', parse: repeated },
    soft: { flags: '--soft', help: 'prefer it, but place without when it cannot be kept' },
  },
  examples: [
    { command: 'kumoi pool rule add hpc spread --type apart --vm tier=front', does: 'each on a machine of its own' },
    { command: 'kumoi pool rule add hpc gpu --type on --vm train1 --machine host4 --machine host5', does: 'only there' },
    { command: 'kumoi pool rule list hpc', does: 'all of a pool' },
  ],
  output: 'value',
  async run(shell, [wanted = '', poolName = '', ...names], { type, vm = [], machine = [], soft }) {
    const verb = wordOf('pool rule', ACTIONS, wanted)
    return withDataCenter(shell, async (dc) => {
      const pool = await findPool(dc, shell.out, poolName)
      if (verb === 'list') {
        const { rules } = await pool.snapshot()
        shell.out.result(rules, (layout) => (rules.length === 0 ? undefined : rulesTable(rules, layout)))
        if (rules.length === 0 && !shell.settings.json) shell.out.note('No rules.')
        return EXIT.done
      }
      const [name] = names
      if (name === undefined) return usage('which rule?', `kumoi pool rule ${verb} ${pool.name} NAME`)
      if (verb === 'rm') return eachName(shell, names, { done: 'removed', work: (one) => pool.removeRule(one) })
      if (names.length > 1) return usage('a rule has one name', 'VMs are named with --vm, machines with --machine.')
      if (type === undefined) return usage('which type?', `Say --type ${TYPES.join('|')}.`)
      if (vm.length === 0) return usage('of which VMs?', 'Name them with --vm.')
      const onMachines = type === 'on' || type === 'not-on'
      if (onMachines !== machine.length > 0) return usage(onMachines ? `${type} needs machines` : `${type} is about VMs only`, onMachines ? 'Name them with --machine.' : 'Leave --machine out, or say --type on.')
      const rule = { name, type, hard: soft !== true, vms: vm, ...(onMachines ? { machines: machine } : {}) }
      const { unkept = [] }: Partial<RuleAnswer> = await pool.rule(rule)
      shell.out.result(rule, () => `${name}: ${ruleText(rule)}`)
      for (const { rule: other, reason } of unkept) shell.out.warn(`rule ${other} of ${pool.name} cannot be kept as things are: ${reason}`)
      return EXIT.done
    })
  },
})
