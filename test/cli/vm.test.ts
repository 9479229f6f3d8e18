// Every command about virtual machines, images and lists, once through the public door: the real shell on two real
// nodes with simulated hypervisors. What is printed, what --json says, and what a user's mistakes are answered.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import type { Interrupt } from '../../cli/interrupt.ts'
import { must } from '../support/rmo-fabric.ts'
import { openMemoryShell } from '../support/memory-shell.ts'

t.setTimeout(120_000)
const { run, json, dc, directory } = await openMemoryShell(t, ['alpha', 'beta'])

/** Prints what it should, and nothing on stderr but notes. */
async function says(t: Test, args: readonly string[], wanted: string | RegExp): Promise<string> {
  const { status, stdout, stderr } = await run(args)
  t.equal(status, 0, `${args.join(' ')}: ${stderr}`)
  t.match(stdout, wanted)
  return stdout
}
/** Is refused with this status and text. */
async function refuses(t: Test, args: readonly string[], status: number, wanted: string | RegExp): Promise<void> {
  const said = await run(args)
  t.equal(said.status, status, args.join(' '))
  t.match(said.stderr, wanted)
  t.equal(said.stdout, '')
}

t.test('an empty fabric says what would fill it', async (t) => {
  for (const [list, wanted] of [['vms', 'No virtual machines. Make one: `kumoi vm create NAME --start`.'], ['snapshots', 'No snapshots. '], ['switches', 'No switches.'], ['ports', 'No switch ports.']] as const) {
    const { status, stdout, stderr } = await run([list])
    t.same([status, stdout], [0, ''])
    t.match(stderr, wanted)
    t.same(await json(list), [])
  }
  await says(t, ['hypervisors'], /^name +state +driver +uri +vms +vcpus +memory +free\nalpha +connected +memory +memory:alpha +0 +0 +16\.0 GiB +16\.0 GiB\nbeta +connected/)
  await says(t, ['storage', '--host', 'beta'], /^name +state .*\n(.* beta .*\n)+$/)
  await says(t, ['networks'], /default +active +virbr0 +nat +192\.168\.122\.1\/24 +alpha/)
  await refuses(t, ['vms', '--host', 'gamma'], 1, 'There is no machine "gamma". There are: alpha, beta.')
})

t.test('create and show', async (t) => {
  await says(t, ['vm', 'create', 'web1', '--host', 'alpha', '--memory', '128', '--image', 'guest', '--bridge', 'br0:20', '--disk', '/nfs/data.qcow2:1G', '--network', 'default', '--label', 'tier=front', '--start'],
    /^name +web1\nuuid +[0-9a-f-]{36}\nstate +running\nhost +alpha\ncpu +\d+% of 1 vcpu\nmemory +128 MiB\nimage +guest\n(disk|interface|label|up)/)
  await says(t, ['vm', 'create', 'web1', '--host', 'beta'], /state +stopped\nhost +beta\ncpu +0% of 1 vcpu\nmemory +512 MiB/)
  await says(t, ['vm', 'create', 'my näme ☃ & <b>', '--host', 'beta'], 'my näme ☃ & <b>')
  t.match(await json('vm', 'show', 'alpha/web1'), { name: 'web1', host: 'alpha', settings: { memoryMiB: 128, labels: { tier: 'front' } } })
  await says(t, ['vm', 'show', 'alpha/web1', '--definition'], 'web1')
  await says(t, ['vm', 'show', 'my näme ☃ & <b>'], 'stopped')
  const { uuid } = must(await dc.vms.find((vm) => vm.host === 'beta' && vm.name === 'web1'))
  await says(t, ['vm', 'show', uuid], 'beta')
  await says(t, ['vm', 'show', uuid.slice(0, 8).toUpperCase()], 'beta')
})

t.test('what nothing can be made of', async (t) => {
  await refuses(t, ['vm', 'create', 'web1', '--host', 'alpha'], 1, /alpha already has a VM named "web1".*RMO_ERR_NAME_TAKEN/)
  await refuses(t, ['vm', 'create', 'x'], 2, 'Which machine?\nName one with --host: alpha, beta.')
  await refuses(t, ['vm', 'create', 'x', '--host', 'betta'], 1, 'There is no machine with a hypervisor "betta". Did you mean beta?')
  await refuses(t, ['vm', 'create', 'x', '--host', 'beta', '--image', 'guets'], 1, /beta has no image "guets".*guest.*IMAGE_MISSING/)
  await refuses(t, ['vm', 'create', 'x', '--host', 'beta', '--memory', 'lots'], 2, 'Write a whole number')
  await refuses(t, ['vm', 'create', 'x', '--host', 'beta', '--bridge', 'br0:5000'], 2, 'a tag from 1 to 4094')
  await refuses(t, ['vm', 'create', 'x', '--host', 'beta', '--disk', 'relative.qcow2'], 2, 'is not a full path')
  await refuses(t, ['vm', 'create', 'x', '--host', 'beta', '--label', 'novalue'], 2, 'KEY=VALUE')
  await refuses(t, ['vm', 'create', 'x', '--host', 'beta', '--context', join(directory, 'none.json')], 1, 'Cannot read')
  await refuses(t, ['vm', 'create'], 2, "missing required argument 'name'")
  t.same((await dc.vms).map((vm) => vm.name).sort(), ['my näme ☃ & <b>', 'web1', 'web1'], 'nothing is left of them')
})

t.test('names that mean nothing, or more than one', async (t) => {
  await refuses(t, ['vm', 'show', 'wbe1'], 1, /There is no VM "wbe1"\. There are: my näme ☃ & <b>, alpha\/web1, beta\/web1\./)
  await refuses(t, ['vm', 'show', 'alpha/wbe1'], 1, 'Did you mean alpha/web1?')
  await refuses(t, ['vm', 'show', 'web1'], 1, /"web1" names more than one VM: alpha\/web1 \([0-9a-f-]{36}\), beta\/web1 \(.*Write HOST\/NAME, or its uuid/)
  await refuses(t, ['vm', 'sohw', 'web1'], 2, 'did you mean `kumoi vm show`?')
  const failed = await run(['--json', 'vm', 'show', 'nobody'])
  t.match(JSON.parse(failed.stderr), { code: 'CLI_ERR_NOT_FOUND', details: { name: 'nobody' } })
})

t.test('the list', async (t) => {
  const lines = (await says(t, ['vms'], /^name +state +host +cpu +vcpus +memory +uptime +image\n/)).split('\n')
  t.match(lines[1], /^my näme ☃ & <b> +stopped +beta +0% +1 +512 MiB +0s +-$/)
  t.match(lines[2], /^web1 +running +alpha +\d+% +1 +128 MiB +\d+s +guest$/, 'by name, then machine')
  t.match(lines[3], /^web1 +stopped +beta /)
  t.match(await json('vms', '--host', 'alpha'), [{ kind: 'VM', name: 'web1', host: 'alpha', memoryMiB: 128 }])
  await says(t, ['vms', '--wide'], /uuid/)
  await says(t, ['volumes'], /data\.qcow2 .* 1\.0 GiB .* web1\n/)
  await says(t, ['images'], /^name +pool +host +format +file +size +overlays\nguest +images +alpha +qcow2 /)
  await says(t, ['ports', '--host', 'alpha'], /^$/)
})

t.test('life, one and several', async (t) => {
  for (const [verb, done] of [['suspend', 'suspended'], ['resume', 'running'], ['reboot', 'rebooting'], ['save', 'saved'], ['start', 'started'], ['destroy', 'turned off'], ['start', 'started']] as const) {
    await says(t, ['vm', verb, 'alpha/web1'], `web1 ${done}\n`)
  }
  await says(t, ['vm', 'start', 'alpha/web1', 'beta/web1'], 'alpha/web1 started\nbeta/web1 started\n')
  t.match(await json('vm', 'stop', '--force', '--wait', '200ms', 'beta/web1', 'beta/web1'), [{ name: 'web1', host: 'beta', done: 'stopped' }], 'twice the same is once')
  await refuses(t, ['vm', 'stop', 'alpha/web1', 'nope'], 1, 'There is no VM "nope"')
  t.equal((await dc.vms.find((vm) => vm.host === 'alpha'))?.state, 'running', 'an unknown name: nothing is done')
  await refuses(t, ['vm', 'suspend', 'beta/web1'], 1, 'VM web1 is stopped; suspend needs it running')
  const mixed = await run(['vm', 'suspend', 'alpha/web1', 'beta/web1'])
  t.same([mixed.status, mixed.stdout], [1, 'alpha/web1 suspended\n'])
  t.match(mixed.stderr, 'VM web1 is stopped')
  await says(t, ['vm', 'resume', 'alpha/web1'], 'running')
  await refuses(t, ['vm', 'start', '--force', 'beta/web1'], 2, "unknown option '--force'")
})

t.test('settings', async (t) => {
  await says(t, ['vm', 'set', 'beta/web1', 'name=web2', 'memoryMiB=256', 'description=front end', 'labels={"tier":"back"}'], /^web2 changed \(version \w+\)\n$/)
  const show = await says(t, ['vm', 'show', 'web2'], /memory +256 MiB/)
  t.match(show, /label +tier=back\ndescription +front end/)
  await refuses(t, ['vm', 'set', 'web2', 'memory=12'], 2, 'did you mean memoryMiB?')
  await refuses(t, ['vm', 'set', 'web2', 'memoryMiB'], 2, 'Write SETTING=VALUE')
  await refuses(t, ['vm', 'set', 'web2', 'memoryMiB=lots'], 1, 'must be an integer (mebibytes)')
  await refuses(t, ['vm', 'set', 'web2', 'vcpus=2', '--version', '1'], 1, /was changed by somebody else.*VERSION_CONFLICT/)
})

t.test('dump and load', async (t) => {
  const dump = await run(['vm', 'dump', 'web2'])
  t.match(JSON.parse(dump.stdout), { kind: 'VM', settings: { name: 'web2', memoryMiB: 256 } })
  await says(t, ['vm', 'rm', 'web2'], 'web2 removed\n')
  const file = join(directory, 'web2.json')
  await writeFile(file, dump.stdout)
  await says(t, ['vm', 'load', file, '--host', 'beta', '--start'], /name +web2\n.*\nstate +running/)
  const copy = await run(['vm', 'load', '-', '--host', 'beta', '--fresh', '--name', 'web3'], { stdin: dump.stdout })
  t.match(copy.stdout, 'web3')
  await writeFile(file, 'not JSON')
  await refuses(t, ['vm', 'load', file, '--host', 'beta'], 2, 'is not JSON')
  await refuses(t, ['vm', 'load', join(directory, 'none'), '--host', 'beta'], 1, 'Cannot read')
})

t.test('snapshots', async (t) => {
  await says(t, ['vm', 'snapshot', 'web3', 'before'], 'before taken of web3\n')
  await says(t, ['vm', 'snapshot', 'web3', '--list'], /^name +vm +state +content +current\nbefore +web3 +stopped +disk +true\n$/)
  await says(t, ['snapshots', '--host', 'beta'], 'before')
  await says(t, ['vm', 'snapshot', 'web3', 'before', '--revert'], 'web3 is as it was at before\n')
  await refuses(t, ['vm', 'snapshot', 'web3', '--rm'], 2, 'which snapshot?')
  await refuses(t, ['vm', 'snapshot', 'web3', 'befor', '--rm'], 1, 'Did you mean before?')
  await says(t, ['vm', 'snapshot', 'web3', 'before', '--rm'], 'before removed\n')
  const none = await run(['vm', 'snapshot', 'web3', '--list'])
  t.match(none.stderr, 'web3 has no snapshots.')
})

t.test('clone and migrate', async (t) => {
  await says(t, ['vm', 'clone', 'web3', 'web4', '--start'], /name +web4\n.*\nstate +running/)
  await refuses(t, ['vm', 'clone', 'web3', 'web4'], 1, 'NAME_TAKEN')
  await refuses(t, ['vm', 'clone', 'web4', 'web5'], 1, 'VM web4 is running')
  await says(t, ['vm', 'migrate', 'web4', 'alpha'], 'web4 is on alpha now (running)\n')
  const there = await run(['vm', 'migrate', 'web4', 'alpha'])
  t.same([there.status, there.stdout], [0, ''])
  t.match(there.stderr, 'web4 is on alpha already.')
  await refuses(t, ['vm', 'migrate', 'web4', 'alhpa'], 1, 'Did you mean alpha?')
  // On a terminal there is a bar while it moves.
  const moved = await run(['vm', 'migrate', 'web4', 'beta', '--bandwidth', '64'], { terminal: true, env: { NO_COLOR: '1' } })
  t.match(moved.stdout, 'web4 is on beta now (running)\n')
  t.match(moved.stderr, /(preparing|copying|switching)/)
})

t.test('Ctrl-C cancels a migration; the machine stays and runs', async (t) => {
  let interrupt: Interrupt | undefined
  const vm = must(await dc.vms.find((each) => each.name === 'web4'))
  const watch = vm.watch()
  const pressed = (async () => {
    for await (const event of watch) if (event.type === 'migrating' && event.phase === 'copying') { interrupt?.press(); return }
  })()
  const { status, stdout, stderr } = await run(['vm', 'migrate', 'web4', 'alpha', '--bandwidth', '1'], { onInterrupt: (given) => { interrupt = given } })
  await pressed
  t.same([status, stdout], [130, ''])
  t.match(stderr, 'interrupted')
  await says(t, ['vm', 'show', 'web4'], /state +running\nhost +beta/)
})

t.test('console without a terminal: one question', async (t) => {
  const { status, stdout } = await run(['vm', 'console', 'web4'], { stdin: 'hostname\n' })
  t.equal(status, 0)
  t.match(stdout, /hostname\s+web4/)
  await refuses(t, ['vm', 'console', 'web3'], 1, 'VM web3 is stopped; console needs it running')
})

t.test('--watch: one line a change, and the end by Ctrl-C is 130', async (t) => {
  for (const form of [['--json', 'vms', '--watch'], ['vms', '--watch', '--host', 'beta']]) {
    let interrupt: Interrupt | undefined
    let seen = ''
    const { promise: present, resolve } = Promise.withResolvers<void>()
    const watching = run(form, { onInterrupt: (given) => { interrupt = given }, onWrite: (text) => { seen += text; if (/web4.*(present|destroyed|stopped)/.test(seen)) resolve(); if (/web4.*started/.test(seen)) interrupt?.press() } })
    await present
    await says(t, ['vm', 'destroy', 'web4'], 'turned off')
    await says(t, ['vm', 'start', 'web4'], 'started')
    const { status, stdout } = await watching
    t.equal(status, 130)
    const lines = stdout.trim().split('\n')
    if (form[0] === '--json') t.match(lines.map((line) => JSON.parse(line) as unknown).filter((line) => (line as { name: string }).name === 'web4').map((line) => (line as { event: string }).event).join(' '), /^present (stopped|destroyed).* started$/)
    else t.match(lines.at(-1), /^\d{4}-.*Z beta\/web4 started \(running\)$/)
  }
})

t.test('on a terminal --watch draws the table again', async (t) => {
  let interrupt: Interrupt | undefined
  let tables = 0
  const watching = run(['vms', '--watch'], { terminal: true, env: { NO_COLOR: '1' }, onInterrupt: (given) => { interrupt = given }, onWrite: (text) => { if (text.startsWith('name') && ++tables === 2) interrupt?.press() } })
  const { status, stdout } = await watching
  t.equal(status, 130)
  t.equal(stdout.split('\u001b[H\u001b[2J').length, 3)
})

t.test('vm watch', async (t) => {
  let interrupt: Interrupt | undefined
  const { status, stdout } = await run(['--json', 'vm', 'watch', 'web4', '--sample', '100ms'], { onInterrupt: (given) => { interrupt = given }, onWrite: () => interrupt?.press() })
  t.equal(status, 130)
  t.match(JSON.parse(stdout.split('\n')[0] ?? ''), { type: String, atMs: Number })
})

t.test('images', async (t) => {
  await refuses(t, ['image', 'import', '/srv/disk.qcow2'], 2, /which storage pool\?\nName one with --pool \(and --host\): alpha\/default/)
  await says(t, ['image', 'import', '/srv/disk.qcow2', '--host', 'alpha', '--pool', 'images'], /^disk imported into alpha\/images \(SHA-256 [0-9a-f]{64}\)\n$/)
  await says(t, ['image', 'verify', 'disk'], 'disk is intact\n')
  t.match(await json('image', 'verify', 'disk'), { name: 'disk', intact: true })
  await says(t, ['image', 'rm', 'disk'], 'disk removed\n')
  await refuses(t, ['image', 'rm', 'dsk'], 1, 'There is no image "dsk"')
  await refuses(t, ['image', 'rm', 'alpha/guest'], 1, 'in use by')
})

t.test('rm: what can go goes, what cannot is told', async (t) => {
  const { status, stdout, stderr } = await run(['vm', 'rm', 'web3', 'web4'])
  t.same([status, stdout], [1, 'web3 removed\n'])
  t.match(stderr, 'VM web4 is running; remove needs it stopped (or force)')
  await says(t, ['vm', 'rm', '--force', 'web4', 'web1', 'web2', 'my näme ☃ & <b>'], 'web4 removed\nweb1 removed\nweb2 removed\nmy näme ☃ & <b> removed\n')
  t.same(await json('vms'), [])
})
