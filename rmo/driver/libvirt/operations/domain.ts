// Changing one domain: define, start, stop, suspend, save, undefine.
//
// A command whose state is reached already succeeds without a call; one that fails because somebody else got there
// first is looked at again before it is reported.

import type { VmSettings } from '../../../settings.ts'
import type { DomainMetadata, DomainRecord, DomainState } from '../../contract.ts'
import { isActive } from '../domain-state.ts'
import { ERROR } from '../failure.ts'
import type { Library } from '../library.ts'
import { LibvirtFailure, failIf, present, succeeded, using } from '../operation.ts'
import type { OperationContext, Operations, Pointer } from '../operation.ts'
import { domainXml } from '../xml/domain.ts'
import type { DomainFlavour } from '../xml/domain.ts'
import { RMO } from '../../../errors.ts'
import { nodeInfo } from './connection.ts'
import { definitionOf, domainRecordOperations, isIncoming, recordOf, stateOf, withDomain } from './domain-record.ts'

const AFFECT_LIVE = 1
// Managed save, snapshot records, NVRAM, checkpoint records: all that would else keep the definition alive.
const UNDEFINE = { managedSave: 1, snapshots: 2, nvram: 4, checkpoints: 16 } as const
const UNDEFINE_ALL = UNDEFINE.managedSave | UNDEFINE.snapshots | UNDEFINE.nvram | UNDEFINE.checkpoints
const START_PAUSED = 1
const SHUTDOWN_ACPI = 1
const KIB_PER_MIB = 1024

interface Uuid { readonly uuid: string }

const invalid = (what: string, text: string): LibvirtFailure => new LibvirtFailure({ what, number: ERROR.operationInvalid, domain: 0, text })

const running = (state: DomainState): boolean => state === 'running'
const paused = (state: DomainState): boolean => state === 'paused'
const down = (state: DomainState): boolean => !isActive(state)

interface Move {
  readonly there: (state: DomainState) => boolean
  /** States that it can start from. */
  readonly from: (state: DomainState) => boolean
  readonly what: string
  readonly act: (domain: Pointer) => number
}
/** Does `act` unless the domain is there already; a refusal counts only if it is not there then. */
function reach(context: OperationContext, uuid: string, { there, from, what, act }: Move): void {
  withDomain(context, uuid, (domain) => {
    const { state } = stateOf(context.lib, domain)
    if (there(state)) return
    if (!from(state)) throw invalid(what, state)
    try {
      succeeded(act(domain), context.lib, what)
    } catch (error) {
      // Somebody else was first; hypervisors have several numbers for that.
      if (error instanceof LibvirtFailure && there(stateOf(context.lib, domain).state)) return
      throw error
    }
  })
}

interface Define { readonly uuid: string; readonly settings: VmSettings; readonly metadata: DomainMetadata; readonly flavour: DomainFlavour }
function define(context: OperationContext, { uuid, settings, metadata, flavour }: Define): DomainRecord {
  const { lib, connection } = context
  const old = lib.virDomainLookupByUUIDString(connection, uuid)
  if (old !== null) return using(old, lib.virDomainFree, (domain) => redefine(context, domain, { uuid, settings, metadata }))
  const made = present(lib.virDomainDefineXMLFlags(connection, domainXml(uuid, settings, metadata, { flavour }), 0), lib, 'virDomainDefineXMLFlags')
  return using(made, lib.virDomainFree, (domain) => {
    setAutostartOf(lib, domain, settings.autostart === true)
    return recordOf(lib, domain)
  })
}

/** Over the definition that is there, whose unknown parts stay. A new name goes first: libvirt only renames a stopped domain. */
function redefine(context: OperationContext, domain: Pointer, { uuid, settings, metadata }: Omit<Define, 'flavour'>): DomainRecord {
  const { lib, connection } = context
  if (lib.virDomainGetName(domain) !== settings.name) succeeded(lib.virDomainRename(domain, settings.name, 0), lib, 'virDomainRename')
  const xml = domainXml(uuid, settings, metadata, { base: definitionOf(lib, domain) })
  const made = present(lib.virDomainDefineXMLFlags(connection, xml, 0), lib, 'virDomainDefineXMLFlags')
  return using(made, lib.virDomainFree, (redefined) => {
    if (settings.autostart !== undefined) setAutostartOf(lib, redefined, settings.autostart)
    if (isActive(stateOf(lib, redefined).state)) changeLive(lib, redefined, settings)
    return recordOf(lib, redefined)
  })
}

/** What a running guest takes: a smaller balloon, fewer or more processors up to its maximum. What it does not take holds from the next start. */
function changeLive(lib: Library, domain: Pointer, settings: VmSettings): void {
  lib.virDomainSetMemoryFlags(domain, settings.memoryMiB * KIB_PER_MIB, AFFECT_LIVE)
  lib.virDomainSetVcpusFlags(domain, settings.vcpus, AFFECT_LIVE)
}

/** Setting what is set would create the autostart directory of a hypervisor that has none. */
function setAutostartOf(lib: Library, domain: Pointer, autostart: boolean): void {
  const now = [0]
  if (lib.virDomainGetAutostart(domain, now) === 0 && now[0] === Number(autostart)) return
  succeeded(lib.virDomainSetAutostart(domain, Number(autostart)), lib, 'virDomainSetAutostart')
}

function undefine(context: OperationContext, { uuid }: Uuid): void {
  const { lib } = context
  withDomain(context, uuid, (domain) => {
    const { state } = stateOf(lib, domain)
    if (isActive(state)) throw invalid('virDomainUndefineFlags', state)
    if (lib.virDomainUndefineFlags(domain, UNDEFINE_ALL) === 0) return
    // Older hypervisors refuse flags they do not know.
    const refused = lib.lastError()?.number
    const flags = refused === ERROR.invalidArgument || refused === ERROR.unsupportedArgument ? UNDEFINE.managedSave | UNDEFINE.snapshots : UNDEFINE_ALL
    succeeded(lib.virDomainUndefineFlags(domain, flags), lib, 'virDomainUndefineFlags')
  })
}

function start(context: OperationContext, { uuid, paused: wantPaused }: Uuid & { readonly paused: boolean }): void {
  const { lib } = context
  reach(context, uuid, {
    there: (state) => running(state) || paused(state), from: down, what: 'virDomainCreateWithFlags',
    act(domain) {
      checkMemory(context, domain)
      const started = lib.virDomainCreateWithFlags(domain, wantPaused ? START_PAUSED : 0)
      // The test hypervisor cannot start paused: there, nothing runs in between.
      if (started === 0 || !wantPaused || lib.lastError()?.number !== ERROR.invalidArgument) return started
      return lib.virDomainCreateWithFlags(domain, 0) === 0 ? lib.virDomainSuspend(domain) : -1
    },
  })
}

/** A guest larger than its host would start, and be killed when it uses what it was promised. */
function checkMemory({ lib, connection }: OperationContext, domain: Pointer): void {
  const wantedKiB = Number(lib.virDomainGetMaxMemory(domain))
  const hostKiB = nodeInfo(lib, connection).memoryKiB
  if (wantedKiB <= hostKiB) return
  const mib = (kib: number): string => `${Math.floor(kib / KIB_PER_MIB)} MiB of memory`
  throw RMO.NO_CAPACITY({ what: `VM ${lib.virDomainGetName(domain) ?? ''}`, host: lib.virConnectGetHostname(connection) ?? 'the host', wanted: mib(wantedKiB), free: mib(hostKiB) })
}

function shutdown(context: OperationContext, { uuid }: Uuid): void {
  const { lib } = context
  reach(context, uuid, {
    there: (state) => down(state) || state === 'stopping', from: isActive, what: 'virDomainShutdownFlags',
    act(domain) {
      const asked = lib.virDomainShutdownFlags(domain, SHUTDOWN_ACPI)
      // A hypervisor without ACPI (test:///) takes no flags.
      return asked < 0 && lib.lastError()?.number === ERROR.invalidArgument ? lib.virDomainShutdownFlags(domain, 0) : asked
    },
  })
}

function reboot(context: OperationContext, { uuid }: Uuid): void {
  withDomain(context, uuid, (domain) => {
    const { state } = stateOf(context.lib, domain)
    if (state !== 'running') throw invalid('virDomainReboot', state)
    succeeded(context.lib.virDomainReboot(domain, 0), context.lib, 'virDomainReboot')
  })
}

const destroy = (context: OperationContext, { uuid }: Uuid): void =>
  reach(context, uuid, { there: down, from: isActive, what: 'virDomainDestroyFlags', act: (domain) => context.lib.virDomainDestroyFlags(domain, 0) })
const suspend = (context: OperationContext, { uuid }: Uuid): void =>
  reach(context, uuid, { there: paused, from: isActive, what: 'virDomainSuspend', act: (domain) => context.lib.virDomainSuspend(domain) })
const resume = (context: OperationContext, { uuid }: Uuid): void =>
  reach(context, uuid, { there: running, from: isActive, what: 'virDomainResume', act: (domain) => context.lib.virDomainResume(domain) })
const save = (context: OperationContext, { uuid }: Uuid): void =>
  reach(context, uuid, { there: (state) => state === 'saved', from: isActive, what: 'virDomainManagedSave', act: (domain) => context.lib.virDomainManagedSave(domain, 0) })

function setAutostart(context: OperationContext, { uuid, autostart }: Uuid & { readonly autostart: boolean }): void {
  withDomain(context, uuid, (domain) => setAutostartOf(context.lib, domain, autostart))
}

/** A definition that came half-way (a migration that failed): gone when it does not run; nothing to do when it is not there. */
function discard(context: OperationContext, { uuid }: Uuid): void {
  try {
    withDomain(context, uuid, (domain) => {
      if (isIncoming(context.lib, domain)) {
        succeeded(context.lib.virDomainDestroyFlags(domain, 0), context.lib, 'virDomainDestroyFlags')
        return
      }
      if (isActive(stateOf(context.lib, domain).state)) return
      failIf(context.lib.virDomainUndefineFlags(domain, UNDEFINE.managedSave | UNDEFINE.snapshots | UNDEFINE.nvram) < 0, context.lib, 'virDomainUndefineFlags')
    })
  } catch (error) {
    if (!(error instanceof LibvirtFailure) || error.failure.number !== ERROR.noDomain) throw error
  }
}

export const domainOperations: Operations = {
  ...domainRecordOperations,
  domainDefine: define, domainUndefine: undefine, domainStart: start, domainShutdown: shutdown, domainReboot: reboot,
  domainDestroy: destroy, domainSuspend: suspend, domainResume: resume, domainSave: save, domainSetAutostart: setAutostart, domainDiscard: discard,
}
