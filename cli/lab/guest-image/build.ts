// The lab's guest: a bootable disk of Debian's cloud kernel and busybox, as guest.qcow2.
//
//   apt-get download -> dpkg-deb -x -> modules, init.sh -> cpio, zstd -> FAT disk, syslinux -> qcow2
//
// Nothing is installed and nothing is mounted, so no root is needed. The result is kept under a hash of all that goes
// in: package versions, scripts, this recipe's number. The boot goes through the BIOS, so that a VM needs a disk and nothing else.
// Kernel modules lose their signatures: checking them costs the emulated CPU more than loading them.

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { constants, zstdCompressSync } from 'node:zlib'

import { CLI } from '../../errors.ts'
import { run, runBytes } from '../run.ts'

/** Changes when the recipe below gives another disk for the same inputs. */
const RECIPE = 1
const META_PACKAGE = 'linux-image-cloud-amd64'
const PACKAGES = ['busybox-static', 'syslinux', 'syslinux-common', 'mtools'] as const
const DISK_BYTES = 32 * 1024 ** 2
/** Sectors in all, heads, sectors a track: the geometry that SeaBIOS makes up for a disk of this size. */
const FAT = ['-T', String(DISK_BYTES / 512), '-h', '64', '-s', '32'] as const

/** Groups of modules in the order of need: disks and the clock of the boot first, the IDE controller only for a seed on it. */
const MODULES: Readonly<Record<string, readonly string[]>> = {
  virtio: ['virtio_pci', 'virtio_blk', 'virtio_net', 'isofs', 'vfat', 'nls_cp437', 'nls_ascii'],
  ata: ['ata_piix', 'sr_mod'],
  late: ['evdev', 'button', 'virtio_balloon', 'virtio_rng', 'virtio_scsi', 'sd_mod', 'failover'],
}
/** Without these the guest is of no use; the others may be built into the kernel, or be missing in another version. */
const NEEDED = ['virtio_pci', 'virtio_blk', 'virtio_net', 'isofs', 'vfat']

const APPEND = 'console=ttyS0 quiet panic=5 mitigations=off cryptomgr.notests random.trust_cpu=on i8042.noaux'
const SYSLINUX_CFG = `DEFAULT guest\nPROMPT 0\nTIMEOUT 0\nLABEL guest\nKERNEL vmlinuz\nINITRD initrd\nAPPEND ${APPEND}\n`
const POWER_BUTTON = '#!/bin/sh\nsync\nexec poweroff -f\n'

export interface GuestImage { readonly path: string; readonly built: boolean }
export interface GuestImageOptions {
  /** Folder where images are kept, one folder per hash. */
  readonly cache: string
  /** Folder of init.sh and cloud-config.awk. */
  readonly recipe: string
  readonly onStep?: (step: string) => void
  readonly signal?: AbortSignal
}

/** Path of the image, built when its inputs have changed or it is not there. Throws CLI_ERR_LAB_FAILED naming what is missing. */
export async function guestImage(options: GuestImageOptions): Promise<GuestImage> {
  if (process.arch !== 'x64') throw CLI.LAB_REFUSED({ what: 'The guest image cannot be built here', reason: `it is for x86-64, this machine is ${process.arch}`, advice: 'Use --driver memory.' })
  const { cache } = options
  await mkdir(cache, { recursive: true })
  const inputs = await inputsOf(options)
  const folder = join(cache, inputs.key)
  const path = join(folder, 'guest.qcow2')
  if (existsSync(path)) return { path, built: false }
  const work = await mkdtemp(join(cache, 'build-'))
  try {
    await build(work, inputs, options)
    await rm(join(work, 'root'), { recursive: true, force: true })
    await rm(join(work, 'initrd.d'), { recursive: true, force: true })
    const done = join(work, 'done')
    await mkdir(done)
    await rename(join(work, 'guest.qcow2'), join(done, 'guest.qcow2'))
    // Another build of the same inputs may have been first: its result is as good.
    await rename(done, folder).catch((error: unknown) => { if (!existsSync(path)) throw error })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return { path, built: true }
}

interface Inputs { readonly key: string; readonly packages: readonly string[]; readonly init: string; readonly awk: string }

async function inputsOf({ recipe, signal }: GuestImageOptions): Promise<Inputs> {
  const step = 'Finding the packages of the guest image'
  const limits = signal === undefined ? {} : { signal }
  const depends = await run('apt-cache', ['depends', META_PACKAGE], { step, ...limits })
  const kernel = /Depends: (linux-image-[0-9]\S+)/.exec(depends)?.[1]
  if (kernel === undefined) throw CLI.LAB_FAILED({ step, reason: `apt-cache knows no ${META_PACKAGE}; run apt-get update, or add Debian's main archive` })
  const packages = [kernel, ...PACKAGES]
  // Names, sizes and hashes of the very files, without fetching them.
  const uris = await run('apt-get', ['download', '--print-uris', ...packages], { step, ...limits })
  const init = await readFile(join(recipe, 'init.sh'), 'utf8')
  const awk = await readFile(join(recipe, 'cloud-config.awk'), 'utf8')
  const key = createHash('sha256').update(JSON.stringify([RECIPE, uris, init, awk, APPEND, MODULES])).digest('hex').slice(0, 16)
  return { key, packages, init, awk }
}

async function build(work: string, { packages, init, awk }: Inputs, { onStep = () => {}, signal }: GuestImageOptions): Promise<void> {
  const limits = { cwd: work, ...(signal === undefined ? {} : { signal }) }
  const root = join(work, 'root')
  await mkdir(root)
  onStep('fetching the kernel and busybox')
  // As root, apt would fetch as another user who may not write here.
  await run('apt-get', ['download', '-q', '-o', 'APT::Sandbox::User=root', ...packages], { step: 'Fetching the packages of the guest image', ...limits })
  for (const file of (await readdir(work)).filter((name) => name.endsWith('.deb'))) await run('dpkg-deb', ['-x', file, root], { step: `Unpacking ${file}`, ...limits })

  onStep('making the boot disk')
  const vmlinuz = await one(join(root, 'boot'), /^vmlinuz-/, 'a kernel (boot/vmlinuz-*)')
  const version = await one(join(root, 'lib/modules'), /^\d/, 'the kernel\'s modules (lib/modules/*)')
  const busybox = ['bin/busybox', 'usr/bin/busybox'].map((place) => join(root, place)).find(existsSync)
  if (busybox === undefined) throw missing('busybox-static', 'bin/busybox')
  const loader = join(root, 'usr/lib/syslinux/modules/bios/ldlinux.c32')
  if (!existsSync(loader)) throw missing('syslinux-common', 'usr/lib/syslinux/modules/bios/ldlinux.c32')

  const tree = join(work, 'initrd.d')
  for (const folder of ['bin', 'etc/acpi/PWRF', 'lib/modules', 'proc', 'sys', 'dev']) await mkdir(join(tree, folder), { recursive: true })
  await copyFile(busybox, join(tree, 'bin/busybox'))
  await writeFile(join(tree, 'init'), init, { mode: 0o755 })
  await writeFile(join(tree, 'etc/cloud-config.awk'), awk)
  await writeFile(join(tree, 'etc/acpi/PWRF/00000080'), POWER_BUTTON, { mode: 0o755 })
  await symlink('busybox', join(tree, 'bin/sh'))
  await installModules(join(root, 'lib/modules', version), join(tree, 'lib/modules'))
  const names = (await readdir(tree, { recursive: true })).sort().join('\n')
  const archive = await runBytes(busybox, ['cpio', '-o', '-H', 'newc', '-R', '0:0'], { step: 'Packing the initial file system', ...limits, cwd: tree, input: `${names}\n` })
  await writeFile(join(work, 'initrd'), zstdCompressSync(archive, { params: { [constants.ZSTD_c_compressionLevel]: 19 } }))
  await copyFile(join(root, 'boot', vmlinuz), join(work, 'vmlinuz'))
  await writeFile(join(work, 'syslinux.cfg'), SYSLINUX_CFG)

  // syslinux finds mtools by PATH; both come from the unpacked packages.
  const env = { PATH: `${join(root, 'usr/bin')}:${process.env['PATH'] ?? ''}`, MTOOLS_SKIP_CHECK: '1', MTOOLSRC: '/dev/null' }
  const step = 'Making the boot disk of the guest image'
  await writeFile(join(work, 'guest.raw'), '')
  await truncate(join(work, 'guest.raw'), DISK_BYTES)
  await run(join(root, 'usr/bin/mformat'), ['-i', 'guest.raw', '-v', 'KUMOIGUEST', ...FAT, '::'], { step, ...limits, env })
  await run(join(root, 'usr/bin/mcopy'), ['-i', 'guest.raw', 'vmlinuz', 'initrd', 'syslinux.cfg', loader, '::'], { step, ...limits, env })
  await run(join(root, 'usr/bin/syslinux'), ['--install', 'guest.raw'], { step, ...limits, env })
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', 'guest.raw', 'guest.qcow2'], { step, ...limits })
  // A base image is never written to.
  await chmod(join(work, 'guest.qcow2'), 0o444)
}

const missing = (name: string, file: string): Error => CLI.LAB_FAILED({ step: 'Building the guest image', reason: `${name} of this release has no ${file}` })

async function one(folder: string, pattern: RegExp, what: string): Promise<string> {
  const found = (await readdir(folder).catch(() => [])).find((name) => pattern.test(name))
  if (found === undefined) throw missing('the kernel package', what)
  return found
}

/** Copies each group's modules with what they depend on, and writes the order to load them in. */
async function installModules(from: string, to: string): Promise<void> {
  const files = new Map((await readdir(from, { recursive: true })).filter((path) => path.endsWith('.ko')).map((path) => [moduleName(path), path]))
  const absent = NEEDED.filter((name) => !files.has(name))
  if (absent.length > 0) throw missing('the kernel package', `module ${absent.join(', ')} (compressed modules are not supported)`)
  const loaded = new Set<string>()
  for (const [group, wanted] of Object.entries(MODULES)) {
    const order: string[] = []
    const place = async (name: string): Promise<void> => {
      const path = files.get(name)
      if (path === undefined || loaded.has(name)) return
      loaded.add(name)
      const module = await readFile(join(from, path))
      for (const dependency of dependenciesOf(module)) await place(dependency)
      await writeFile(join(to, `${name}.ko`), withoutSignature(module))
      order.push(`${name}.ko`)
    }
    for (const name of wanted) await place(name)
    await writeFile(join(to, `${group}.order`), `${order.join('\n')}\n`)
  }
}

/** Files are spelled with dashes or underscores, dependencies with underscores. */
const moduleName = (path: string): string => (path.split('/').at(-1) ?? '').replace(/\.ko$/, '').replaceAll('-', '_')

/** The line "depends=a,b" of the module's .modinfo section. */
export function dependenciesOf(module: Buffer): readonly string[] {
  const at = module.indexOf('\0depends=')
  if (at < 0) return []
  const start = at + '\0depends='.length
  return module.subarray(start, module.indexOf(0, start)).toString('latin1').split(',').filter((name) => name !== '').map((name) => name.replaceAll('-', '_'))
}

const SIGNATURE_END = '~Module signature appended~\n'
/** struct module_signature of include/linux/module_signature.h, whose last four bytes are the signature's length. */
const SIGNATURE_INFO_BYTES = 12

export function withoutSignature(module: Buffer): Buffer {
  if (!module.subarray(-SIGNATURE_END.length).equals(Buffer.from(SIGNATURE_END))) return module
  const infoEnd = module.length - SIGNATURE_END.length
  return module.subarray(0, infoEnd - SIGNATURE_INFO_BYTES - module.readUInt32BE(infoEnd - 4))
}
