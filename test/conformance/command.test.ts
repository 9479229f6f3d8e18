// Every command of the registry: help with examples, --json where it prints a value, a refused option.

import t from 'tap'

import { longFlag } from '../../cli/command.ts'
import { COMMANDS, everyCommand } from '../../cli/commands/index.ts'
import { shellRun } from '../support/shell-run.ts'

const OPERANDS: Readonly<Record<string, readonly string[]>> = { eval: ['1 + 1'], explain: ['x => x'], run: ['file.ts'], completion: ['bash'], invoke: ['mail'], redrive: ['mail'], discard: ['mail', '--yes'], 'secret rm': ['token'], 'store copy': ['etcd://a:2379'] }
/** `up` stays in the foreground; its JSON is tried in test/cli/shell.test.ts. Those of deployed functions: test/cli/functions.test.ts; of trust, whose node has users: test/cli/{trust,acl,audit,quota,account,node}.test.ts; the rest has effects, or reads files and standard input. */
const NOT_RUN = (name: string): boolean => name === 'up' || /^(deploy|rollback|alias|pause|resume|rm|simulate|secret set|login|logout|whoami|token)$/.test(name) || /^(vm|image|lab|pool|ha|elastic|node|user|role|trust|key|acl|audit|quota|account)\b/.test(name) && !['vms'].includes(name)

for (const entry of everyCommand()) {
  t.test(entry.name, async (t) => {
    const spec = await entry.load()
    t.equal(spec.name, entry.name)
    t.same(spec.aliases ?? [], entry.aliases ?? [])
    t.ok(spec.examples.length > 0, 'has an example')
    for (const [key, { flags }] of Object.entries(spec.options)) t.equal(key, longFlag(flags).replace(/^--(no-)?/, '').replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()), `${flags} is read by the name it is parsed to`)
    for (const form of [[...entry.name.split(' '), '--help'], ['help', ...entry.name.split(' ')], ...(entry.aliases ?? []).map((a) => [a, '--help'])]) {
      const { status, stdout, stderr } = await shellRun(form)
      t.equal(status, 0, stderr)
      t.match(stdout, `Usage: kumoi ${entry.name}`)
      t.match(stdout, spec.examples[0]?.command ?? '')
      t.match(stdout, '--json')
    }
    const wrong = await shellRun([...entry.name.split(' '), '--no-such-option', ...(OPERANDS[entry.name] ?? [])])
    t.equal(wrong.status, 2)
    t.match(wrong.stderr, /unknown option '--no-such-option'/)
    t.equal(wrong.stdout, '')
    if (spec.output === 'value' && !NOT_RUN(entry.name)) {
      const { stdout } = await shellRun(['--json', ...entry.name.split(' '), ...(OPERANDS[entry.name] ?? [])])
      t.equal(stdout.split('\n').length, 2, 'one line')
      t.doesNotThrow(() => JSON.parse(stdout) as unknown)
    }
  })
}

t.test('kumoi alone prints help with the examples', async (t) => {
  for (const args of [[], ['--help'], ['help']]) {
    const { status, stdout } = await shellRun(args)
    t.equal(status, 0)
    for (const { name } of COMMANDS) t.match(stdout, new RegExp(`^  ${name} `, 'm'))
    t.match(stdout, "kumoi 'pms.dmap(pm => pm.name)'")
    t.match(stdout, '130 interrupted')
  }
})
