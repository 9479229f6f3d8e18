// The identity part of a data directory, created once and written atomically.
//
//   keys/node.key      seed of the node's Ed25519 key, hex, mode 0600
//   keys/fabric.key    seed of the fabric's key, on the founder only, hex, mode 0600
//   fabric.json        fabric id, certificate chain, name, listen host and port, known bootstrap nodes and members, revoked nodes
//
// Invariants: a key is written before anything that names it; a file is either the old one or the new one,
// never half (write beside, fsync, rename); a damaged file is refused, not replaced.
// That only one process uses the directory at a time is the node's business, not this file's.

import { chmod, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Random } from '../clock.ts'
import { makeDataDirectory } from '../data-directory.ts'
import { errorCode } from '../errors.ts'
import { FABRIC } from '../errors-table.ts'
import { isNodeId } from '../id.ts'
import type { NodeId } from '../id.ts'
import { checkChain, decodeChain, encodeChain, foundChain } from './certificate.ts'
import type { Chain } from './certificate.ts'
import { generateKeys, keysFromSeed } from './keys.ts'
import type { Keys } from './keys.ts'
import type { RevokedNode } from './revocation.ts'
import type { TicketMember } from './ticket.ts'

/** What a member knows of its fabric across restarts. */
export interface FabricRecord {
  readonly id: NodeId
  readonly chain: Chain
  readonly name?: string
  /** Port last listened on, tried first after a restart so that others find the node again. */
  readonly port?: number
  /** Host asked for, if one was; a restart that names none takes it again, never a wider one. */
  readonly host?: string
  readonly bootstraps: readonly string[]
  readonly members: readonly TicketMember[]
  /** Cut off when it last ran: refused from the first hello on, before the records of the store are read. */
  readonly revoked?: readonly RevokedNode[]
}

export interface Identity {
  readonly dataDir: string
  readonly keys: Keys
  /** Undefined until the node has founded or joined a fabric. */
  readonly fabric: FabricRecord | undefined
  /** This directory holds the fabric's own key. */
  readonly founder: boolean
  /** Makes a new fabric with this node as its founder. Throws FABRIC_ERR_FABRIC_FOREIGN if it has one. */
  found(): Promise<FabricRecord>
  /** Takes the chain that a member handed out. Throws FABRIC_ERR_CERTIFICATE_INVALID, FABRIC_ERR_FABRIC_FOREIGN. */
  adopt(record: FabricRecord): Promise<FabricRecord>
  /** Takes founding back, for a node that could not listen: the directory may then join another fabric. */
  unfound(): Promise<void>
  /** Keeps what was learned: name, host, port, bootstraps, members. */
  remember(learned: Partial<Pick<FabricRecord, 'name' | 'host' | 'port' | 'bootstraps' | 'members' | 'revoked'>>): Promise<void>
}

/** Opens, or creates, the identity in `dataDir`. Throws FABRIC_ERR_IDENTITY_DAMAGED. */
export async function openIdentity(dataDir: string, options: { readonly random: Random }): Promise<Identity> {
  const keysDir = join(dataDir, 'keys')
  await makeDataDirectory(dataDir)
  await makeDataDirectory(keysDir)
  await chmod(keysDir, 0o700)
  const keys = (await readKeys(join(keysDir, 'node.key'))) ?? (await createKeys(join(keysDir, 'node.key'), options.random))
  const founderKeys = await readKeys(join(keysDir, 'fabric.key'))
  const fabricFile = join(dataDir, 'fabric.json')
  let record = await readRecord(fabricFile, keys.id)
  let founder = founderKeys !== undefined && founderKeys.id === record?.id
  let writing: Promise<void> = Promise.resolve()

  const save = (next: FabricRecord): Promise<void> => {
    record = next
    // One write at a time, each with the state of its own moment: a later one never loses to an earlier.
    writing = writing.catch(() => {}).then(() => writeFile(fabricFile, printRecord(next), 0o600))
    return writing
  }

  return {
    dataDir,
    keys,
    get fabric() { return record },
    get founder() { return founder },
    async found() {
      if (record !== undefined) throw FABRIC.FABRIC_FOREIGN({ ticketFabric: 'new', fabric: record.id })
      const fabricKeys = founderKeys ?? (await createKeys(join(keysDir, 'fabric.key'), options.random))
      const founded = { id: fabricKeys.id, chain: foundChain(fabricKeys, keys.id), bootstraps: [], members: [] }
      await save(founded)
      founder = true
      return founded
    },
    async unfound() {
      await writing.catch(() => {})
      record = undefined
      founder = false
      await rm(fabricFile, { force: true })
    },
    async adopt(adopted) {
      if (record !== undefined && record.id !== adopted.id) throw FABRIC.FABRIC_FOREIGN({ ticketFabric: adopted.id, fabric: record.id })
      checkChain(adopted.id, adopted.chain, keys.id)
      await save(adopted)
      return adopted
    },
    async remember(learned) {
      if (record === undefined) throw FABRIC.FABRIC_MISSING({ dataDir })
      const next = { ...record, ...learned }
      if (printRecord(next) === printRecord(record)) return
      await save(next)
    },
  }
}

async function readKeys(file: string): Promise<Keys | undefined> {
  const text = await readText(file)
  if (text === undefined) return undefined
  if (!isNodeId(text.trim())) throw FABRIC.IDENTITY_DAMAGED({ file, why: 'it is not 64 hexadecimal characters' })
  return keysFromSeed(Buffer.from(text.trim(), 'hex'))
}

async function createKeys(file: string, random: Random): Promise<Keys> {
  const keys = generateKeys(random)
  await writeFile(file, `${keys.seed.toString('hex')}\n`, 0o600)
  return keys
}

async function readRecord(file: string, self: NodeId): Promise<FabricRecord | undefined> {
  const text = await readText(file)
  if (text === undefined) return undefined
  try {
    const { id, chain, name, host, port, bootstraps, members, revoked } = JSON.parse(text) as Record<string, unknown>
    const decoded = typeof chain === 'string' ? decodeChain(Buffer.from(chain, 'hex')) : undefined
    if (!isNodeId(id) || decoded === undefined) throw new TypeError('it has no fabric id or no certificate chain')
    checkChain(id, decoded, self)
    return {
      id, chain: decoded,
      ...(typeof name === 'string' ? { name } : {}), ...(typeof host === 'string' ? { host } : {}), ...(typeof port === 'number' ? { port } : {}),
      bootstraps: Array.isArray(bootstraps) ? bootstraps.filter((item) => typeof item === 'string') : [],
      members: Array.isArray(members) ? members.filter(isMember) : [],
      ...(Array.isArray(revoked) ? { revoked: revoked.filter(isRevoked) } : {}),
    }
  } catch (cause) {
    throw FABRIC.IDENTITY_DAMAGED({ file, why: cause instanceof Error ? cause.message : String(cause) }, { cause })
  }
}

function isMember(value: unknown): value is TicketMember {
  const { id, addresses } = (value ?? {}) as Record<string, unknown>
  return isNodeId(id) && Array.isArray(addresses) && addresses.every((address) => typeof address === 'string')
}

function isRevoked(value: unknown): value is RevokedNode {
  const { node, by, reason, kept } = (value ?? {}) as Record<string, unknown>
  return isNodeId(node) && typeof by === 'string' && typeof reason === 'string' && Array.isArray(kept) && kept.every(isNodeId)
}

const printRecord = (record: FabricRecord): string =>
  `${JSON.stringify({ ...record, chain: encodeChain(record.chain).toString('hex') }, null, 2)}\n`

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

async function writeFile(file: string, text: string, mode: number): Promise<void> {
  const beside = `${file}.new`
  const handle = await open(beside, 'w', mode)
  try {
    await handle.chmod(mode)
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(beside, file)
}
