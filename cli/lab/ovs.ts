// A host's own Open vSwitch, in place of the Linux bridge: database and daemon of its own, datapath in user space, so
// that no kernel module is needed. Its database socket is /run/openvswitch/db.sock, which only the host sees.
// Source: ovsdb-server(1), ovs-vswitchd(8), "Open vSwitch without kernel support".

import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { LIMITS } from '../../fabric/base.ts'
import { CLI } from '../errors.ts'
import type { LabHost } from './contract.ts'
import { startDaemon } from './libvirt.ts'
import { BRIDGE, folderOf, runIn, setAddress } from './namespaces.ts'
import type { Place } from './namespaces.ts'
import { until } from './processes.ts'

const SOCKET = '/run/openvswitch/db.sock'
const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'

/** Starts the daemons unless they answer, and makes xenbr of datapath "netdev" with eth0 in it. */
export async function startOvs(place: Place, host: LabHost): Promise<void> {
  const step = `Starting Open vSwitch of ${host.name}`
  const vsctl = (...args: string[]): Promise<string> => runIn(place, host.name, ['ovs-vsctl', '--timeout=10', `--db=unix:${SOCKET}`, ...args], step)
  const folder = folderOf(place.directory, host.name)
  const log = join(folder, 'log', 'openvswitch.log')
  const database = (): Promise<boolean> => runIn(place, host.name, ['ovsdb-client', 'list-dbs', `unix:${SOCKET}`], step).then(() => true, () => false)
  if (!await database()) {
    if (!existsSync(join(folder, 'ovs', 'conf.db'))) await runIn(place, host.name, ['ovsdb-tool', 'create', '/etc/openvswitch/conf.db', SCHEMA], step)
    await startDaemon(place, host, ['ovsdb-server', '/etc/openvswitch/conf.db', `--remote=punix:${SOCKET}`, '--pidfile', '--log-file=/dev/null'], log)
    if (!await until(place.clock, LIMITS.labDaemonStartTimeoutMs, database, place.signal)) throw CLI.LAB_FAILED({ step, reason: `its database did not answer; its log is ${log}` })
    await vsctl('--no-wait', 'init')
    await startDaemon(place, host, ['ovs-vswitchd', `unix:${SOCKET}`, '--pidfile', '--log-file=/dev/null'], log)
  }
  // In user space the switch works on copies: the kernel takes eth0's frames too where they are for eth0's address, by which
  // the bridge would be known unless it has one of its own, and answers ARP for xenbr's address itself unless told not to.
  await runIn(place, host.name, ['sh', '-c', 'echo 8 >/proc/sys/net/ipv4/conf/eth0/arp_ignore; echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6'], step)
  // Answers when the daemon has made the devices.
  await vsctl('--may-exist', 'add-br', BRIDGE, '--', 'set', 'bridge', BRIDGE, 'datapath_type=netdev', `other-config:hwaddr=${macOf(host)}`, '--', '--may-exist', 'add-port', BRIDGE, 'eth0')
  await setAddress(place, host)
}

/** Locally administered: 02, then "KL", then the host's number. */
const macOf = ({ index }: LabHost): string => `02:4b:4c:00:00:${index.toString(16).padStart(2, '0')}`
