// Pure parsers of what Linux says of itself in /proc and /sys.
//
// Every parser takes any text and never throws: lines that are not understood are left out and missing
// figures are undefined or zero, because containers and old kernels show odd files. Source: proc(5).

const KiB = 1024
/** /proc/diskstats counts sectors of 512 bytes whatever the device's own sector size. */
const DISK_SECTOR_BYTES = 512

const lines = (text: string): string[] => text.split('\n')
const words = (line: string): string[] => line.split(/\s+/).filter((word) => word !== '')
/** A non-negative decimal number; 0 for anything else. */
const count = (word: string | undefined): number => word !== undefined && /^\d{1,20}$/.test(word) ? Number(word) : 0

// ---------------------------------------------------------------- processors

/** Ticks since boot. Time of guests is part of user and nice already. */
export interface CpuTicks { readonly user: number; readonly system: number; readonly wait: number; readonly idle: number; readonly steal: number }
export interface ProcStat { readonly all: CpuTicks | undefined; readonly cores: ReadonlyMap<number, CpuTicks> }

function cpuTicks(fields: readonly string[]): CpuTicks {
  const [user, nice, system, idle, wait, irq, softIrq, steal] = fields.slice(0, 8).map(count)
  return { user: (user ?? 0) + (nice ?? 0), system: (system ?? 0) + (irq ?? 0) + (softIrq ?? 0), wait: wait ?? 0, idle: idle ?? 0, steal: steal ?? 0 }
}

export function parseStat(text: string): ProcStat {
  let all: CpuTicks | undefined
  const cores = new Map<number, CpuTicks>()
  for (const line of lines(text)) {
    // The cpu lines stand first; the interrupt line after them can be very long.
    if (!line.startsWith('cpu')) { if (all !== undefined) break; continue }
    const [label = '', ...fields] = words(line)
    if (fields.length < 4) continue
    if (label === 'cpu') all = cpuTicks(fields)
    else if (/^cpu\d{1,5}$/.test(label)) cores.set(Number(label.slice(3)), cpuTicks(fields))
  }
  return { all, cores }
}

export interface Shares { readonly cpuRatio: number; readonly userRatio: number; readonly systemRatio: number; readonly waitRatio: number; readonly stealRatio: number }

const ZERO_TICKS: CpuTicks = { user: 0, system: 0, wait: 0, idle: 0, steal: 0 }

/**
 * Shares of the time between two readings (from boot without `before`). Busy is what is neither idle nor
 * waiting for I/O; time stolen by a hypervisor counts as busy, since this machine could not have used it.
 * Counters that ran backwards (wait and idle may, by a tick) count as unchanged.
 */
export function cpuShares(before: CpuTicks | undefined, now: CpuTicks): Shares {
  const from = before ?? ZERO_TICKS
  const spent = (key: keyof CpuTicks): number => Math.max(0, now[key] - from[key])
  const user = spent('user'), system = spent('system'), wait = spent('wait'), steal = spent('steal')
  const total = user + system + wait + steal + spent('idle')
  const share = (ticks: number): number => total === 0 ? 0 : ticks / total
  return {
    cpuRatio: share(user + system + steal), userRatio: share(user), systemRatio: share(system),
    waitRatio: share(wait), stealRatio: share(steal),
  }
}

// ---------------------------------------------------------------- memory, load, uptime

export interface Memory {
  readonly totalBytes: number
  /** MemAvailable; on kernels before 3.14, free plus page cache. */
  readonly freeBytes: number
  readonly unusedBytes: number
  readonly cachedBytes: number
  readonly buffersBytes: number
  readonly swapTotalBytes: number
  readonly swapFreeBytes: number
}

export function parseMeminfo(text: string): Memory | undefined {
  const bytes = new Map<string, number>()
  for (const line of lines(text)) {
    const match = /^([A-Za-z]\w*(?:\([a-z]+\))?):\s+(\d{1,16})\s*(kB)?/.exec(line)
    if (match !== null) bytes.set(match[1] ?? '', Number(match[2]) * (match[3] === undefined ? 1 : KiB))
  }
  const totalBytes = bytes.get('MemTotal') ?? 0
  if (totalBytes === 0) return undefined
  const of = (key: string): number => bytes.get(key) ?? 0
  const available = bytes.get('MemAvailable') ?? of('MemFree') + of('Buffers') + of('Cached')
  return {
    totalBytes, freeBytes: Math.min(totalBytes, available), unusedBytes: of('MemFree'),
    cachedBytes: of('Cached'), buffersBytes: of('Buffers'), swapTotalBytes: of('SwapTotal'), swapFreeBytes: of('SwapFree'),
  }
}

export interface Load { readonly load1: number; readonly load5: number; readonly load15: number; readonly running: number; readonly tasks: number }

export function parseLoadavg(text: string): Load | undefined {
  const match = /^(\d+\.\d+) (\d+\.\d+) (\d+\.\d+)(?: (\d+)\/(\d+))?/.exec(text)
  if (match === null) return undefined
  return { load1: Number(match[1]), load5: Number(match[2]), load15: Number(match[3]), running: count(match[4]), tasks: count(match[5]) }
}

// ---------------------------------------------------------------- devices

export interface Disk { readonly device: string; readonly reads: number; readonly readBytes: number; readonly writes: number; readonly writtenBytes: number; readonly busyMs: number; readonly inFlight: number }

/** Devices without loop, memory and unused ones. */
export function parseDiskstats(text: string): Disk[] {
  const disks: Disk[] = []
  for (const line of lines(text)) {
    const fields = words(line)
    const device = fields[2]
    if (fields.length < 14 || device === undefined || /^(loop|ram|zram|fd|sr)\d/.test(device)) continue
    const at = (i: number): number => count(fields[i])
    if (at(3) + at(7) === 0) continue
    disks.push({
      device, reads: at(3), readBytes: at(5) * DISK_SECTOR_BYTES, writes: at(7), writtenBytes: at(9) * DISK_SECTOR_BYTES,
      inFlight: at(11), busyMs: at(12),
    })
  }
  return disks
}

export interface Interface {
  readonly name: string
  readonly receivedBytes: number; readonly receivedPackets: number; readonly receiveErrors: number; readonly receiveDrops: number
  readonly sentBytes: number; readonly sentPackets: number; readonly sendErrors: number; readonly sendDrops: number
}

export function parseNetDev(text: string): Interface[] {
  const interfaces: Interface[] = []
  for (const line of lines(text)) {
    // "eth0:123 ..." without a space after the colon on old kernels; names may hold dots, dashes and a colon.
    const match = /^\s*(\S+):\s*((?:\d+\s+){15}\d+)\s*$/.exec(line)
    if (match === null) continue
    const at = words(match[2] ?? '').map(count)
    interfaces.push({
      name: match[1] ?? '',
      receivedBytes: at[0] ?? 0, receivedPackets: at[1] ?? 0, receiveErrors: at[2] ?? 0, receiveDrops: at[3] ?? 0,
      sentBytes: at[8] ?? 0, sentPackets: at[9] ?? 0, sendErrors: at[10] ?? 0, sendDrops: at[11] ?? 0,
    })
  }
  return interfaces
}

// ---------------------------------------------------------------- file systems

export interface Mount {
  readonly mount: string; readonly device: string; readonly type: string
  /** Lives on another machine, so that asking it may hang. */
  readonly remote: boolean
}

const REMOTE_TYPES = new Set(['nfs', 'nfs4', 'cifs', 'smb3', 'ceph', 'glusterfs', 'fuse.sshfs', 'fuse.glusterfs', 'lustre', 'gfs2', 'ocfs2', 'afs', '9p'])
const MEMORY_DISK_TYPES = new Set(['zfs', 'btrfs', 'virtiofs', 'bcachefs'])

/** mountinfo writes space, tab, newline and backslash as octal escapes. */
const unescapeMount = (text: string): string => text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))

/** File systems that hold data: on devices or other machines, and the root whatever it is; each device once, by its first mount. */
export function parseMountinfo(text: string): Mount[] {
  const byDevice = new Map<string, Mount>()
  for (const line of lines(text)) {
    const [left = '', right] = line.split(' - ', 2)
    const fields = words(left)
    const [type, source] = words(right ?? '')
    const number = fields[2], at = fields[4]
    if (number === undefined || at === undefined || type === undefined || source === undefined) continue
    const mount = unescapeMount(at), device = unescapeMount(source)
    const remote = REMOTE_TYPES.has(type)
    const holdsData = remote || MEMORY_DISK_TYPES.has(type) || mount === '/' || (device.startsWith('/dev/') && type !== 'squashfs' && type !== 'devtmpfs')
    if (holdsData && !byDevice.has(number)) byDevice.set(number, { mount, device, type, remote })
  }
  return [...byDevice.values()]
}

// ---------------------------------------------------------------- what the machine is

/** The name for people in /etc/os-release. */
export function parseOsRelease(text: string): string | undefined {
  const fields = new Map(lines(text).flatMap((line) => {
    const match = /^([A-Z_]+)=(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S*))\s*$/.exec(line)
    return match === null ? [] : [[match[1] ?? '', (match[2] ?? match[3] ?? match[4] ?? '').replace(/\\(.)/g, '$1')] as const]
  }))
  const name = fields.get('PRETTY_NAME') ?? fields.get('NAME')
  return name === '' ? undefined : name
}

/** Processor model; arm64 kernels give none. */
export function parseCpuModel(text: string): string | undefined {
  const match = /^(?:model name|Model|cpu model|Processor)[ \t]*:[ \t]*(\S.*)$/m.exec(text)
  return match?.[1]?.trim()
}
