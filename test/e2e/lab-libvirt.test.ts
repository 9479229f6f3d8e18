// `kumoi lab` over libvirt: three hosts as namespaces, each with a libvirtd, a bridge and a node, and real guests that
// boot, read their seed and answer on the serial port. Power cut, partition, heal, down; nothing of it is left afterwards.

import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { labObstacle, machineNetwork, tracesOf, useLab } from '../support/lab.ts'
import { until } from '../support/fabric-lab.ts'

t.setTimeout(200_000)

/** Asks on the guest's serial port for its host name until it has booted and answers. */
const ASK_GUEST = `
port=$(virsh ttyconsole web1)
stty -F "$port" raw -echo
exec 3<>"$port"
for attempt in {1..60}; do
  echo hostname >&3
  while IFS= read -t 1 -r -u 3 line; do case $line in "it's"*) printf "it's"; exit 0 ;; esac; done
done
exit 1
`

t.test('a lab of three libvirt hosts', { skip: await labObstacle('libvirt'), timeout: 190_000 }, async (t) => {
  const before = await machineNetwork()
  const lab = await useLab(t, { driver: 'libvirt', hosts: 3 })
  const { id } = JSON.parse(await readFile(join(lab.directory, 'lab.json'), 'utf8')) as { readonly id: string }
  t.match(await lab.status(), { driver: 'libvirt', hosts: [{ name: 'host1', state: 'up' }, { name: 'host2', state: 'up' }, { name: 'host3', state: 'up' }] })
  t.same(await machineNetwork(), before, 'nothing stands in the machine\'s own network')

  await t.test('hosts have their own names, addresses, hypervisors, and one /nfs', async (t) => {
    t.match(await lab.exec('host2', 'hostname'), { status: 0, stdout: 'host2\n' })
    t.match(await lab.exec('host2', 'ip', '-o', '-4', 'address', 'show', 'xenbr'), { stdout: /10\.77\.0\.2\/24/ })
    const uuids = await Promise.all(lab.hosts.map(({ name }) => lab.exec(name, 'virsh', 'capabilities').then(({ stdout }) => /<uuid>(.*)<\/uuid>/.exec(stdout)?.[1])))
    t.equal(new Set(uuids).size, 3, 'three host uuids')
    await lab.exec('host1', 'sh', '-c', 'echo shared >/nfs/word')
    t.match(await lab.exec('host3', 'cat', '/nfs/word'), { stdout: 'shared\n' })
    t.match(await lab.exec('host1', 'virsh', '-c', 'qemu+tcp://10.77.0.3/system', 'hostname'), { stdout: /host3/ }, 'libvirtds reach each other')
  })

  await t.test('the guest image boots, reads its seed, and answers on the serial port', async (t) => {
    const context = join(lab.directory, 'nfs', 'web1.json')
    await writeFile(context, JSON.stringify({ hostname: 'web1', runcmd: ["echo \"it's\" >/state/word", ['hostname', '-F', '/state/word']] }))
    const made = await lab.kumoi(['vm', 'create', 'web1', '--host', 'host1', '--memory', '128', '--image', 'guest', '--context', context, '--start'])
    t.equal(made.status, 0, made.stderr)
    const dc = await lab.host('host1').connect()
    t.same(await dc.pms.dmap(async (pm) => (await pm.vms).map((vm) => vm.name)), [['web1'], [], []])
    t.match(await lab.exec('host1', 'virsh', 'domstate', 'web1'), { stdout: /running/ })
    t.match(await lab.exec('host1', 'bash', '-c', ASK_GUEST), { status: 0, stdout: "it's" }, 'its host name is what runcmd made of it')
  })

  const reaches = async (from: string, to: number): Promise<boolean> => (await lab.exec(from, 'timeout', '3', 'bash', '-c', `echo >/dev/tcp/10.77.0.${to}/16509`)).status === 0

  await t.test('partition and heal', async (t) => {
    await lab.partition(['host1', 'host2'], ['host3'])
    t.ok(await reaches('host1', 2))
    t.notOk(await reaches('host1', 3))
    t.notOk(await reaches('host3', 2))
    t.same((await lab.status()).hosts.map(({ group }) => group), [0, 0, 1])
    await lab.heal()
    t.ok(await reaches('host1', 3))
    t.ok(await reaches('host3', 1))
  })

  await t.test('a power cut ends node, libvirtd and guests; the disks are there afterwards', async (t) => {
    await lab.kill('host1')
    t.match(await lab.status(), { hosts: [{ state: 'off', processes: 0 }, { state: 'up' }, { state: 'up' }] })
    await lab.start('host1')
    t.match(await lab.exec('host1', 'virsh', 'domstate', 'web1'), { stdout: /shut off/ })
    await until('all see host1 again', async () => (await lab.kumoi(['--json', 'pms.dmap(pm => pm.name)'], { host: 'host2' })).stdout === '["host1","host2","host3"]\n')
    await lab.stopNode('host2')
    t.match(await lab.status(), { hosts: [{ state: 'up' }, { state: 'node down' }, { state: 'up' }] }, 'its libvirtd runs on')
    await lab.startNode('host2')
  })

  await lab.down()
  t.notOk(existsSync(lab.directory))
  t.same(await tracesOf(lab.directory, id), [], 'no process, no mount')
  t.same(await machineNetwork(), before, 'no device, no namespace')
})
