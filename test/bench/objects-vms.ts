// What befalls one VM, on two libvirt hosts of a lab, beside virsh in the same run: making and starting it, cloning it
// over a base of 1 GiB, moving it live. What virsh is given is the XML that Kumoi made for its own VM, under another
// name, with an overlay made by qemu-img and a seed made by xorrisofs, as ours are made.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PhysicalMachine, StoragePool, VM } from '../../rmo/mod.ts'
import { alternate, low, standalone, timed, withScope } from './figure.ts'
import type { Bench, Figure } from './figure.ts'
import { until } from '../support/fabric-lab.ts'
import { absentFigures, at, libvirtObstacle, openBenchLab, removeVm } from './objects-lab.ts'
import type { BenchLab } from './objects-lab.ts'

const MADE = 6
const TIMES_VIRSH = 1.3
const CLONES = 8
const CLONE_REACH_MS = 300
const BASE_MIB = 1_024
const MIB = 1024 * 1024
const MOVES = 4
const GUEST_MIB = 128

const START = 'create + add + start of a VM (overlay, seed), as times of qemu-img + xorrisofs + virsh define + virsh start'
const CLONE = `clone by overlay of a ${BASE_MIB / 1_024} GiB base`
const MOVE = 'live migration, as times of virsh migrate --live --p2p --unsafe'
const ROWS = [['objects-start', START, `<= ${TIMES_VIRSH}`], ['objects-clone', CLONE, `<= ${CLONE_REACH_MS} ms, no copy`], ['objects-migrate', MOVE, `<= ${TIMES_VIRSH}`]] as const

/** Milliseconds that a text of bash takes inside a host, its own clock around it. */
async function clocked({ script }: BenchLab, host: string, before: string, text: string): Promise<number> {
  const printed = await script(host, `${before}\nfrom=$EPOCHREALTIME\n{ ${text}\n} >&2\nto=$EPOCHREALTIME\necho $(( (\${to/./} - \${from/./}) ))`)
  return Number(printed.trim().split('\n').at(-1)) / 1_000
}

/** What the peer's seed is made of. */
const SEED = '/nfs/peer-seed'
const overlayAndSeed = (base: string, disk: string, seed: string): string => `qemu-img create -q -f qcow2 -b '${base}' -F qcow2 ${disk}; xorrisofs -quiet -V cidata -J -r -o ${seed} ${SEED}`

const WITHOUT_IDENTITY = [/<uuid>[^<]*<\/uuid>/, /<mac address=[^>]*>/g] as const
/** The definition of `vm` for another VM: its name, an identity of its own, its disk at `disk` and its seed at `seed`. */
async function definitionFor(vm: VM, name: string, disk: string, seed: string): Promise<{ readonly xml: string; readonly base: string }> {
  const { definition, settings } = await vm.info()
  const volume = (await vm.volumes).find(({ backingPath }) => backingPath !== '')
  if (volume === undefined) throw new Error('a VM without an overlay')
  let xml = definition.replace(/<domain ([^>]*?) id='\d+'/, '<domain $1').replace(`<name>${vm.name}</name>`, `<name>${name}</name>`).replaceAll(volume.path, disk)
  for (const device of settings.devices) if (device.type === 'disk' && device.role === 'seed' && device.path !== undefined) xml = xml.replaceAll(device.path, seed)
  for (const identity of WITHOUT_IDENTITY) xml = xml.replace(identity, '')
  return { xml, base: volume.backingPath }
}

async function starting(lab: BenchLab, machine: PhysicalMachine): Promise<Figure> {
  const make = async (name: string): Promise<VM> => {
    const vm = await machine.vmm.add(await machine.vmm.createVM({ name, memoryMiB: GUEST_MIB, vcpus: 1, image: 'guest' }))
    await vm.start({ paused: true })
    return vm
  }
  const model = await make('model')
  const disk = '/var/lib/libvirt/images/peer.qcow2', seed = '/var/lib/libvirt/images/peer.iso'
  const { xml, base } = await definitionFor(model, 'peer', disk, seed)
  await writeFile(join(lab.lab.directory, 'nfs', 'peer.xml'), xml)
  await removeVm(machine, model)
  let made = 0
  const clear = `virsh -q destroy peer >/dev/null 2>&1 || true; virsh -q undefine peer >/dev/null 2>&1 || true; rm -f ${disk} ${seed}`
  await lab.script(machine.name, `mkdir -p ${SEED}; printf 'instance-id: peer\\nlocal-hostname: peer\\n' >${SEED}/meta-data; printf '#cloud-config\\n{}\\n' >${SEED}/user-data`)
  const overlay = overlayAndSeed(base, disk, seed)
  const times = await alternate(MADE, {
    kumoi: async () => {
      const name = `made${made++}`
      let vm: VM | undefined
      const taken = await timed(1, async () => { vm = await make(name) })
      if (vm !== undefined) await removeVm(machine, vm)
      return taken
    },
    commands: async () => [await clocked(lab, machine.name, clear, `${overlay}; virsh -q define /nfs/peer.xml; virsh -q start --paused peer`)],
    oneVirsh: async () => [await clocked(lab, machine.name, clear, `${overlay}; virsh -q 'define /nfs/peer.xml; start --paused peer'`)],
  })
  await lab.script(machine.name, clear)
  const ours = low(times.kumoi), commands = low(times.commands), oneVirsh = low(times.oneVirsh)
  return {
    name: 'objects-start', what: START, toReach: `<= ${TIMES_VIRSH}`, unit: 'times', p50: ours.p50 / commands.p50, best: ours.best / commands.best, count: ours.count,
    peers: [], reached: ours.p50 / commands.p50 <= TIMES_VIRSH, why: 'beside the same XML, overlay and seed ours keeps names apart over the fabric, writes the audit and reads the domain back',
    note: `ours ${ours.p50.toFixed(0)} ms; qemu-img, xorrisofs, virsh define, virsh start ${commands.p50.toFixed(0)} ms; with one virsh for both ${oneVirsh.p50.toFixed(0)} ms`,
  }
}

async function cloning(lab: BenchLab, machine: PhysicalMachine): Promise<Figure> {
  const { dc, script } = lab
  await script(machine.name, `qemu-img create -q -f qcow2 -o preallocation=full /nfs/big.qcow2 ${BASE_MIB}M`)
  const pool = ((await dc.list('StoragePool')).objects as readonly StoragePool[]).find((one) => one.name === 'images')
  if (pool === undefined) throw new Error('no pool "images"')
  await pool.importImage({ name: 'big', path: '/nfs/big.qcow2' })
  await script(machine.name, 'rm /nfs/big.qcow2')
  const original = await machine.vmm.add(await machine.vmm.createVM({ name: 'original', memoryMiB: GUEST_MIB, vcpus: 1, image: 'big' }))
  const clones: VM[] = []
  const times = low((await timed(CLONES + 1, async (i) => { clones.push(await original.clone({ name: `clone${i}` })) })).slice(1))
  let mostBytes = 0, backed = true, base = ''
  for (const clone of clones) {
    const volumes = await clone.volumes
    mostBytes = Math.max(mostBytes, ...volumes.map(({ allocationBytes }) => allocationBytes))
    base = volumes.find(({ backingPath }) => backingPath !== '')?.backingPath ?? ''
    backed &&= base !== ''
    await removeVm(machine, clone)
  }
  await removeVm(machine, original)
  const seedOf = '/nfs/floor.iso', diskOf = '/nfs/floor.qcow2'
  const floor: number[] = []
  for (let i = 0; i < CLONES / 2; i++) floor.push(await clocked(lab, machine.name, `mkdir -p ${SEED}; rm -f ${seedOf} ${diskOf}`, overlayAndSeed(base, diskOf, seedOf)))
  const copied = !backed || mostBytes > 4 * MIB
  return {
    name: 'objects-clone', what: CLONE, toReach: `<= ${CLONE_REACH_MS} ms, no copy`, unit: 'ms', ...times, peers: [{ name: 'qemu-img create + xorrisofs alone', ...low(floor) }], reached: times.p50 <= CLONE_REACH_MS && !copied,
    why: copied ? `it was copied: ${mostBytes} bytes` : 'programs for overlay and seed, and a define, one after another', note: `each clone takes ${(mostBytes / 1_024).toFixed(0)} KiB of disk`,
  }
}

async function moving(lab: BenchLab, [here, there]: readonly [PhysicalMachine, PhysicalMachine]): Promise<Figure> {
  const { lab: { hosts }, script } = lab
  const names = [here.name, there.name] as const
  const address = (name: string): string => hosts.find((host) => host.name === name)?.address ?? ''
  const runs = async (name: string): Promise<VM> => {
    const draft = await here.vmm.createVM({ name, memoryMiB: GUEST_MIB, vcpus: 1, image: 'guest', devices: [{ type: 'disk', path: `/nfs/${name}.qcow2`, format: 'qcow2', create: 'auto', base: 'guest' }] })
    return here.vmm.add(draft, { start: true })
  }
  const ours = await runs('ours')
  await runs('theirs')
  let moves = 0, theirMoves = 0
  const times = await alternate(MOVES, {
    kumoi: () => timed(1, () => ours.migrate(moves++ % 2 === 0 ? there : here)),
    virsh: async () => {
      const from = theirMoves++ % 2
      return [await clocked(lab, at(names, from), '', `virsh -q migrate --live --p2p --unsafe --persistent --undefinesource theirs qemu+tcp://${address(at(names, 1 - from))}/system`)]
    },
  })
  await removeVm(moves % 2 === 0 ? here : there, ours)
  await script(at(names, theirMoves % 2), 'virsh -q destroy theirs; virsh -q undefine theirs')
  const our = low(times.kumoi), their = low(times.virsh)
  return {
    name: 'objects-migrate', what: MOVE, toReach: `<= ${TIMES_VIRSH}`, unit: 'times', p50: our.p50 / their.p50, best: our.best / their.best, count: our.count, peers: [], reached: our.p50 / their.p50 <= TIMES_VIRSH,
    why: 'beside the same transfer ours prepares at the target, keeps a durable note of each phase and adopts the VM there', note: `ours ${our.p50.toFixed(0)} ms, virsh ${their.p50.toFixed(0)} ms; guest of ${GUEST_MIB} MiB, idle`,
  }
}

export const bench: Bench = {
  name: 'objects-vms',
  run: () => withScope(async (scope) => {
    const absent = await libvirtObstacle()
    if (absent !== false) return absentFigures(ROWS, absent)
    const lab = await openBenchLab(scope, { driver: 'libvirt', hosts: 2 })
    await until('the guest image is known', async () => (await lab.dc.images.filter((image) => image.name === 'guest')).length > 0)
    const here = at(lab.machines, 0), there = at(lab.machines, 1)
    return [await starting(lab, here), await cloning(lab, here), await moving(lab, [here, there])]
  }),
}

if (import.meta.main) await standalone(bench)
