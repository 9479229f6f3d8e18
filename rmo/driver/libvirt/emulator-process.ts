// The process that runs a guest, as the kernel sees it: which one it is, a descriptor that becomes readable when it ends,
// and how it ended. Event thread only; every call returns at once.
//
//   STATE/NAME.pid --number--> /proc/PID/cmdline names the guest's uuid --> pidfd_open --> readable --> how it ended
//
// A process that was not our child has no wait status for us. It is read, in this order, from /proc while nobody has
// reaped it, from the descriptor after that (PIDFD_GET_INFO, Linux 6.15), and, on older kernels, from what QEMU left
// behind: it removes its monitor's socket whenever it ends by itself or by SIGTERM, and never when it is killed.

import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import koffi from 'koffi'

const SYS_PIDFD_OPEN = 434 // The same number on x64 and arm64.
// struct pidfd_info of its first version (linux/pidfd.h): mask, then 52 bytes of ids, then the wait status.
const PIDFD_GET_INFO = 0xc040ff0b
const INFO_BYTES = 64
const INFO_EXIT = 1n << 3n
const INFO_STATUS_OFFSET = 60
const SIGNAL_MASK = 0x7f

const libc = koffi.load(null)
const pidfdOpen = libc.func('long syscall(long number, int pid, uint flags)')
const ioctl = libc.func('int ioctl(int fd, ulong request, void *argument)')
const closeFd = libc.func('int close(int fd)')

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // It ended, or is not ours to see.
  }
}

const processes = (): readonly string[] => {
  try {
    return readdirSync('/proc')
  } catch {
    return []
  }
}

/** libvirt gives every QEMU "-uuid UUID". */
const runs = (pid: string, uuid: string): boolean => textOf(`/proc/${pid}/cmdline`).includes(`\0-uuid\0${uuid}\0`)

/** Process id of the guest's emulator as this process counts; a libvirtd in a container counts its own way. */
export function emulatorOf(stateDirectory: string, name: string, uuid: string): number | undefined {
  const told = textOf(join(stateDirectory, `${name}.pid`)).trim()
  if (!/^\d{1,9}$/.test(told)) return undefined
  if (runs(told, uuid)) return Number(told)
  const inner = new RegExp(`^NSpid:.*\\t${told}$`, 'm')
  const found = processes().find((pid) => /^\d+$/.test(pid) && runs(pid, uuid) && inner.test(textOf(`/proc/${pid}/status`)))
  return found === undefined ? undefined : Number(found)
}

export interface EmulatorProcess {
  readonly pid: number
  /** Readable when it has ended. */
  readonly fd: number
  /** Of its QEMU monitor, in the file system of the one who started it. */
  readonly monitorSocket: string | undefined
}

/** Undefined where the kernel refuses, and when it has ended meanwhile. */
export function openProcess(pid: number, uuid: string): EmulatorProcess | undefined {
  const fd = Number(pidfdOpen(SYS_PIDFD_OPEN, pid, 0))
  if (fd < 0) return undefined
  // Read after opening: the number cannot have become another process's in between.
  const command = textOf(`/proc/${pid}/cmdline`)
  if (!command.includes(`\0-uuid\0${uuid}\0`)) {
    closeFd(fd)
    return undefined
  }
  const key = /file[=":]+([^",\0]+\/master-key\.aes)/.exec(command)?.[1]
  const socket = key === undefined ? undefined : join(dirname(key), 'monitor.sock')
  return { pid, fd, monitorSocket: socket !== undefined && existsSync(socket) ? socket : undefined }
}

export const closeProcess = ({ fd }: EmulatorProcess): void => { closeFd(fd) }

/** Wait status of a process that has ended; undefined when the kernel does not say. */
function waitStatus({ pid, fd }: EmulatorProcess): number | undefined {
  const stat = textOf(`/proc/${pid}/stat`)
  const fields = stat.slice(stat.lastIndexOf(')') + 2).trim().split(' ')
  // Ended and not reaped yet, or just being reaped: the descriptor knows only afterwards.
  if (fields[0] === 'Z' || fields[0] === 'X') return Number(fields.at(-1))
  const info = Buffer.alloc(INFO_BYTES)
  info.writeBigUInt64LE(INFO_EXIT)
  if (ioctl(fd, PIDFD_GET_INFO, info) !== 0 || (info.readBigUInt64LE() & INFO_EXIT) === 0n) return undefined
  return info.readInt32LE(INFO_STATUS_OFFSET)
}

/** Why an emulator that has ended did not end in good order; undefined when it did, or when that cannot be known. */
export function causeOfDeath(process: EmulatorProcess): string | undefined {
  const status = waitStatus(process)
  if (status === undefined) return process.monitorSocket !== undefined && existsSync(process.monitorSocket) ? 'without a word' : undefined
  const signal = status & SIGNAL_MASK
  if (signal !== 0) return `signal ${signal}`
  return status === 0 ? undefined : `status ${status >> 8}`
}
