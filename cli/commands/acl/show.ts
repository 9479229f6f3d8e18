// `kumoi acl show PATH`, `kumoi acl why WHO VERB PATH`: which rules hold for an object, and what they say of somebody.

import { findPath, ruleText } from '../../acl.ts'
import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { table } from '../../render/table.ts'
import { withDataCenter } from '../../session.ts'

/** Asked about when only the rules are wanted: nobody has no rights, and no rule is about him alone. */
const NOBODY = 'nobody'

export const showCommand = defineCommand({
  name: 'acl show',
  summary: 'Show the access rules of an object, and those above it that hold for it too',
  operands: '<path>',
  options: {},
  examples: [{ command: 'kumoi acl show pools/pool1', does: 'rules of the pool, and of the whole fabric' }, { command: 'kumoi acl show vms/web1 --json', does: 'for programs' }],
  output: 'value',
  run: (shell, [path = '']) => withDataCenter(shell, async (dc) => {
    const { target } = await findPath(dc, shell.out, path)
    const { chain } = await dc.acl.why({ principal: NOBODY, verb: 'acls', ...target })
    const rows = chain.flatMap(({ kind, name, uuid, rules }) => (rules ?? []).map((rule) => ({ kind, name, uuid, ...rule })))
    shell.out.result(rows, (layout) => (rows.length === 0 ? undefined : table(
      [{ title: 'on' }, { title: '', whole: true, paint: (cell, style) => (cell === 'deny' ? style.red(cell) : cell) }, { title: 'who' }, { title: 'rights' }],
      rows.map(({ kind, name, effect, principal, verbs }) => [kind === 'Global' ? 'global' : `${kind} ${name}`, effect, principal, verbs.join(' ')]), layout)))
    if (rows.length === 0 && !shell.settings.json) shell.out.note(`There are no rules: administrators of the machines, and who has a role ("kumoi role list"). \`kumoi acl grant\` makes one.`)
    const hidden = chain.filter(({ rules }) => rules === undefined)
    if (hidden.length > 0) shell.out.note(`not shown, being not yours to see: rules of ${hidden.map(({ kind, name }) => `${kind} ${name}`).join(', ')}`)
    return EXIT.done
  }),
})

export const whyCommand = defineCommand({
  name: 'acl why',
  summary: 'Say why somebody may or may not do something, and which rule or role decides',
  operands: '<who> <verb> <path>',
  details: 'The exit status is 0 when he may and 1 when he may not. Rights of the node itself are asked of global: kumoi acl why user:alice function:deploy global.',
  options: {},
  examples: [{ command: 'kumoi acl why user:alice start vms/web1', does: 'the rule, the role, or that there is none' }, { command: 'kumoi acl why user:alice/vm:read start vms/web1', does: 'with a token that is narrowed to vm:read' }],
  output: 'value',
  run: (shell, [who = '', verb = '', path = '']) => withDataCenter(shell, async (dc) => {
    const { target } = await findPath(dc, shell.out, path)
    const { chain, ...answer } = await dc.acl.why({ principal: who, verb, ...target })
    const on = answer.rule === undefined ? undefined : chain.find(({ kind, uuid }) => kind === answer.rule?.on.kind && uuid === answer.rule.on.uuid)
    shell.out.result({ who, path, ...answer }, () => [
      `${who} ${answer.allowed ? 'may' : 'may not'} ${verb} ${path}: ${answer.reason} (it needs ${answer.needs})`,
      ...(answer.rule === undefined ? [] : [`the rule, on ${on === undefined || on.kind === 'Global' ? 'global' : `${on.kind} ${on.name}`}: ${ruleText(answer.rule)}`]),
    ].join('\n'))
    if (!answer.known) shell.out.warn(`nobody of the name ${who} has logged in here`)
    return answer.allowed ? EXIT.done : EXIT.failed
  }),
})
