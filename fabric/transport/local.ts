// A node's local door: a Unix socket in its data directory, for shells on the same machine.
//
// Only the node's own user (and root) gets in: the socket has mode 0600 from the moment it exists, and
// Node cannot ask the kernel for the peer's credentials, so `uid` is the owner's. A socket file left by
// a node that crashed is replaced; one behind which a node answers is refused (SOCKET_TAKEN).

import { lstat, mkdir, unlink } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { dirname } from 'node:path'
import type { Clock } from '../clock.ts'
import { FABRIC } from '../errors-table.ts'
import { errorCode } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { Caller, FrameChannel } from '../rpc/contract.ts'
import { createSocketChannel } from './socket.ts'

/** sun_path of Linux with its final zero; longer paths would be cut off silently. */
const SOCKET_PATH_BYTES_MAX = 108
/** Everything but reading and writing by the owner. */
const UMASK_OWNER_ONLY = 0o177
/** Everybody may connect; who he is has to be shown. */
const UMASK_NONE = 0o111

export interface LocalDoorOptions {
  /** 'owner' (default): mode 0600. 'everyone': mode 0666, for users who have yet to show who they are. */
  readonly for?: 'owner' | 'everyone'
  /** Connections at a time; default LIMITS.localConnectionsMax. */
  readonly connectionsMax?: number
}

export interface LocalDoor {
  readonly path: string
  /** Takes no further shells and removes the socket file; open channels stay until they are closed. */
  close(): Promise<void>
}

/** Listens on `path`. Rejects with SOCKET_TAKEN when a node answers there, SOCKET_PATH when it cannot be used. */
export async function listenLocal(path: string, clock: Clock, onChannel: (channel: FrameChannel, caller: Caller & { via: 'socket' }) => void, options: LocalDoorOptions = {}): Promise<LocalDoor> {
  checkPath(path)
  const umask = options.for === 'everyone' ? UMASK_NONE : UMASK_OWNER_ONLY
  await mkdir(dirname(path), { recursive: true, mode: options.for === 'everyone' ? 0o755 : 0o700 })
  const uid = process.getuid?.() ?? 0
  // One object a connection: it is how layers above know a connection again.
  const server = createServer((socket) => onChannel(createSocketChannel(socket, clock), { via: 'socket', uid }))
  server.maxConnections = options.connectionsMax ?? LIMITS.localConnectionsMax
  try {
    await bind(server, path, umask)
  } catch (error) {
    if (errorCode(error) !== 'EADDRINUSE') throw FABRIC.SOCKET_PATH({ path, reason: String(errorCode(error)) }, { cause: error })
    await removeStale(path)
    await bind(server, path, umask).catch((cause: unknown) => { throw FABRIC.SOCKET_TAKEN({ path }, { cause }) })
  }
  return {
    path,
    close: () => new Promise((done) => {
      server.close()
      // Does not wait for shells that are still connected: their channels have owners.
      done()
    }),
  }
}

/** Connects to the node that listens on `path`. Rejects with NO_NODE when none does. `owner`: whose socket it may be; 'anyone' for a users' socket, whose path its user was told by somebody he trusts. */
export async function connectLocal(path: string, clock: Clock, { owner = 'self' }: { readonly owner?: 'self' | 'anyone' } = {}): Promise<FrameChannel> {
  checkPath(path)
  const file = await lstat(path).catch(() => undefined)
  if (file === undefined) throw FABRIC.NO_NODE({ path })
  const uid = process.getuid?.() ?? 0
  if (!file.isSocket()) throw FABRIC.SOCKET_PATH({ path, reason: 'it is not a socket' })
  // Another user's socket in a shared directory could pose as our node.
  if (owner === 'self' && uid !== 0 && file.uid !== uid) throw FABRIC.SOCKET_PATH({ path, reason: `it belongs to user ${file.uid}, not to ${uid}` })
  try {
    return createSocketChannel(await dial(path), clock)
  } catch (error) {
    const code = errorCode(error)
    if (code === 'ENOENT' || code === 'ECONNREFUSED') throw FABRIC.NO_NODE({ path }, { cause: error })
    throw FABRIC.SOCKET_PATH({ path, reason: String(code) }, { cause: error })
  }
}

function checkPath(path: string): void {
  const bytes = Buffer.byteLength(path)
  if (bytes >= SOCKET_PATH_BYTES_MAX) throw FABRIC.SOCKET_PATH({ path, reason: `its ${bytes} bytes are more than the ${SOCKET_PATH_BYTES_MAX - 1} a socket path may have` })
}

/** listen() binds before it returns, so the mask is in force exactly while the file is made. */
function bind(server: Server, path: string, umask: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      server.off('error', settle)
      server.off('listening', settle)
      if (error === undefined) resolve()
      else reject(error)
    }
    server.once('error', settle)
    server.once('listening', () => settle())
    const before = process.umask(umask)
    try {
      server.listen(path)
    } finally {
      process.umask(before)
    }
  })
}

/** Removes a socket file behind which nobody answers, unless it was replaced while we looked. */
async function removeStale(path: string): Promise<void> {
  const before = await lstat(path).catch(() => undefined)
  if (before === undefined) return
  if (!before.isSocket()) throw FABRIC.SOCKET_PATH({ path, reason: 'a file that is not a socket is in the way' })
  const probe = await dial(path).catch(() => undefined)
  if (probe !== undefined) {
    probe.destroy()
    throw FABRIC.SOCKET_TAKEN({ path })
  }
  const now = await lstat(path).catch(() => undefined)
  if (now?.ino === before.ino) await unlink(path).catch(() => undefined)
}

function dial(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}
