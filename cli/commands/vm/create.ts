// `kumoi vm create NAME`: a cold VM from the options, added to a machine, started when asked.

import { readFile } from 'node:fs/promises'

import type { DataCenter } from '../../../kali/contract.ts'
import type { DiskDevice, GuestContext, InterfaceDevice, NewVm, VM } from '../../../rmo/mod.ts'
import { findPool } from '../../cloud.ts'
import { defineCommand, integer, repeated, text } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { findVmm } from '../../objects.ts'
import type { Output } from '../../output.ts'
import { vmFields } from '../../render/vm.ts'
import { withDataCenter } from '../../session.ts'

async function contextFrom(file: string): Promise<GuestContext> {
  const content = await readFile(file, 'utf8').catch((cause: unknown) => { throw CLI.FILE_UNREADABLE({ file, reason: cause instanceof Error ? cause.message : String(cause) }) })
  try {
    const parsed: unknown = JSON.parse(content)
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed as GuestContext
  } catch { /* told below */ }
  throw CLI.USAGE({ problem: `kumoi vm create: ${file} is not a JSON object`, hint: 'Write cloud-init user-data as JSON: {"hostname": "web1", "runcmd": ["echo hello"]}.' })
}

/** "bridge", "bridge:tag" -> a plug with an 802.1Q tag. */
function bridgeFrom(wish: string): InterfaceDevice {
  const [bridge = '', tag] = wish.split(':')
  if (tag === undefined) return { type: 'interface', bridge }
  const number = Number(tag)
  if (!Number.isInteger(number) || number < 1 || number > 4094) throw CLI.USAGE({ problem: `kumoi vm create: "${wish}" has no 802.1Q tag`, hint: 'Write BRIDGE or BRIDGE:TAG with a tag from 1 to 4094.' })
  return { type: 'interface', bridge, vlan: { tag: number } }
}

const SIZE = /^(.+):(\d+)([MGT])$/
const UNIT_MIB: Readonly<Record<string, number>> = { M: 1, G: 1024, T: 1024 * 1024 }

/** "path", "path:10G" -> a disk made when it is not there. */
function diskFrom(wish: string, make: (path: string, options: { readonly sizeMiB?: number }) => DiskDevice): DiskDevice {
  const [, path = wish, amount, unit = ''] = SIZE.exec(wish) ?? []
  if (!path.startsWith('/')) throw CLI.USAGE({ problem: `kumoi vm create: the disk "${wish}" is not a full path`, hint: 'Write --disk /DIRECTORY/FILE.qcow2:SIZE, a path on the machine.' })
  return make(path, amount === undefined ? {} : { sizeMiB: Number(amount) * (UNIT_MIB[unit] ?? 1) })
}

async function onHost(dc: DataCenter, out: Output, settings: NewVm, { host, start }: { readonly host?: string | undefined; readonly start?: boolean | undefined }): Promise<VM> {
  const vmm = await findVmm(dc, out, host)
  return vmm.add(await vmm.createVM(settings), { start: start === true })
}

/** Placed, made, started; from then on it is the pool's to keep it so. */
async function inPool(dc: DataCenter, out: Output, settings: NewVm, { pool: name, host }: { readonly pool: string; readonly host: string | undefined }): Promise<VM> {
  if (host !== undefined) throw CLI.USAGE({ problem: 'kumoi vm create: --pool and --host do not go together', hint: `The pool's scheduler says where; a rule can bind it: kumoi pool rule add ${name} RULE --type on --vm NAME --machine ${host}.` })
  const pool = await findPool(dc, out, name)
  return pool.add(await pool.createVM(settings))
}

export const createCommand = defineCommand({
  name: 'vm create',
  summary: 'Make a virtual machine',
  operands: '<name>',
  details: 'Without --image and --disk it has no disk. All or nothing: what a failed creation made is removed again.',
  options: {
    host: { flags: '--host <machine>', help: 'where it lives (default: the only machine with a hypervisor)', parse: text },
    pool: { flags: '--pool <name>', help: 'the pool\'s scheduler says where, and the pool manages it; it is started', parse: text },
    memory: { flags: '--memory <MiB>', help: 'memory (default: 512)', parse: integer(1, 64 * 1024 * 1024) },
    vcpus: { flags: '--vcpus <n>', help: 'virtual processors (default: 1)', parse: integer(1, 512) },
    image: { flags: '--image <name>', help: 'image that its root disk is an overlay of', parse: text },
    disk: { flags: '--disk <path[:size]>', help: 'a disk file, made with that size (10G, 512M) when it is not there; may be repeated', parse: repeated },
    bridge: { flags: '--bridge <name[:tag]>', help: 'plug into a bridge, with an 802.1Q tag on Open vSwitch; may be repeated', parse: repeated },
    network: { flags: '--network <name>', help: 'plug into a network of the hypervisor; may be repeated', parse: repeated },
    context: { flags: '--context <file>', help: 'JSON of cloud-init user-data (hostname, users, runcmd, ...)', parse: text },
    label: { flags: '--label <key=value>', help: 'a label of your own; may be repeated', parse: repeated },
    autostart: { flags: '--autostart', help: 'start it with its host' },
    start: { flags: '--start', help: 'start it now' },
  },
  examples: [
    { command: 'kumoi vm create web1 --host host1 --memory 128 --image guest --start', does: 'from an image, running' },
    { command: 'kumoi vm create web2 --pool hpc --image guest', does: 'where the pool\'s scheduler says, running' },
    { command: 'kumoi vm create db1 --host host2 --disk /nfs/db1.qcow2:10G --bridge xenbr:20', does: 'a disk and a tagged interface' },
  ],
  output: 'value',
  run(shell, [name = ''], options) {
    return withDataCenter(shell, async (dc) => {
      // Loaded when it is needed: `kumoi --help` reads every command.
      const { FileDiskAuto, NetworkInterface } = await import('../../../rmo/base.ts')
      const labels = Object.fromEntries((options.label ?? []).map((label) => {
        const at = label.indexOf('=')
        if (at < 1) throw CLI.USAGE({ problem: `kumoi vm create: "${label}" is no label`, hint: 'Write --label KEY=VALUE.' })
        return [label.slice(0, at), label.slice(at + 1)]
      }))
      const settings: NewVm = {
        name,
        ...(options.memory === undefined ? {} : { memoryMiB: options.memory }),
        ...(options.vcpus === undefined ? {} : { vcpus: options.vcpus }),
        ...(options.image === undefined ? {} : { image: options.image }),
        ...(options.context === undefined ? {} : { context: await contextFrom(options.context) }),
        ...(options.autostart === true ? { autostart: true } : {}),
        ...(options.label === undefined ? {} : { labels }),
        devices: [...(options.disk ?? []).map((wish) => diskFrom(wish, FileDiskAuto)), ...(options.bridge ?? []).map(bridgeFrom), ...(options.network ?? []).map((network) => NetworkInterface(network))],
      }
      const vm = options.pool === undefined ? await onHost(dc, shell.out, settings, options) : await inPool(dc, shell.out, settings, { pool: options.pool, host: options.host })
      shell.out.result(vm, (layout) => vmFields(vm, layout.style))
      return EXIT.done
    })
  },
})
