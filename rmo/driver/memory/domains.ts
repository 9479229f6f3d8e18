// Commands on domains: the life of a simulated VM, as libvirt and QEMU would live it.
//
//   stopped, crashed, saved --start--> running <--suspend, resume--> paused
//   running --shutdown--> stopping --shutdownMs--> stopped        any of them --destroy--> stopped
//   running, paused --save--> saved                               (fault) --> crashed
//
// A guest that is still booting or hangs does not hear a shutdown; its state stays 'running'.

import { seededRandom } from '../../../fabric/base.ts'
import { RMO } from '../../errors.ts'
import type { VmSettings } from '../../settings.ts'
import type { Call, DomainDriver, DomainMetadata } from '../contract.ts'
import { openConsole } from './console.ts'
import { allPlaced, attach, detach } from './devices.ts'
import { balloonGuest, bootGuest, isUp, pauseGuest, rebootGuest, resumeGuest, slowGuest } from './guest.ts'
import type { Guest } from './guest.ts'
import { gentleTrace, traceOf } from './trace.ts'
import type { Trace } from './trace.ts'
import { command, copying, domainOf, domainRecord, frozen, idleDomainOf, invalidState, isActive, job, missingDisk, needMemory, needNetworks, noSuchFile, signal, tell } from './world.ts'
import type { Domain, World } from './world.ts'

type LifeDriver = Omit<DomainDriver, 'acceptIncoming' | 'refuseIncoming' | 'completeIncoming' | 'migrate' | 'createSnapshot' | 'revertSnapshot' | 'deleteSnapshot'>

/** virErrorNumber of what libvirt says in the same place. */
const XML_ERROR = 27
const PID_FIRST = 10_000

/** The load of a VM: what the simulation says, its own trace, else one that its uuid decides. */
function traceFor({ load }: Pick<World, 'load'>, uuid: string, settings: VmSettings): Trace {
  const given = load?.(uuid, settings)
  if (given !== undefined) return given
  const { simulate } = settings
  return simulate === undefined ? gentleTrace(seededRandom(Number.parseInt(uuid.slice(0, 8), 16))) : traceOf(simulate.cpuRatios, simulate.stepMs)
}

/** Of a guest that came from elsewhere: what the simulation says goes for it here, too. */
export function givenLoad({ load }: Pick<World, 'load'>, uuid: string, settings: VmSettings): { readonly trace?: Trace } {
  const trace = load?.(uuid, settings)
  return trace === undefined ? {} : { trace }
}

export function newGuest(world: World, uuid: string, settings: VmSettings): Guest {
  const { vcpus, memoryMiB, simulate } = settings
  return bootGuest({ trace: traceFor(world, uuid, settings), vcpus, memoryMiB, bootMs: simulate?.bootMs ?? world.bootMs, slowness: world.slowness }, world.clock.nowMs())
}

// ---------------------------------------------------------------- life

export function begin(world: World, domain: Domain, guest: Guest, reason: string): void {
  domain.guest = guest
  domain.saved = undefined
  domain.state = guest.sinceMs === undefined ? 'paused' : 'running'
  domain.reason = reason
  domain.pid = PID_FIRST + world.random.int(1_000_000)
  world.touch(domain)
}

/** The guest is no more; consoles hear why. */
export function end(world: World, domain: Domain, state: 'stopped' | 'crashed' | 'saved', reason: string): void {
  domain.job?.interrupt(RMO.GONE({ kind: 'VM', name: domain.settings.name, reason: `it ${reason === 'crashed' ? 'crashed' : `was ${reason}`} meanwhile` }))
  domain.guest = domain.due = domain.pid = undefined
  domain.state = state
  domain.reason = reason
  for (const console of domain.consoles) console.hangUp(`${domain.settings.name} is ${state} (${reason})`)
  world.touch(domain)
}

/** Carries out what a guest was asked to do, when its time has come. */
export function carryOut(world: World, domain: Domain): void {
  const { due, guest } = domain
  if (due === undefined || guest === undefined || guest.sinceMs === undefined) return
  domain.due = undefined
  if (due.what === 'shutdown') {
    end(world, domain, 'stopped', 'shutdown')
    tell(world, domain, 'stopped', 'shutdown')
  } else {
    domain.guest = rebootGuest(guest, due.atMs)
    world.touch(domain)
    signal(world, domain, 'reboot', 'guest')
  }
}

function checkSettings({ name, memoryMiB, vcpus }: VmSettings): void {
  const refuse = (text: string): never => { throw RMO.DRIVER_FAILED({ operation: 'define', name, number: XML_ERROR, text }) }
  if (name === '') refuse('name must not be empty')
  if (name.includes('/') || name.includes('\n')) refuse("name cannot contain '/' or a line end")
  if (!(memoryMiB > 0)) refuse('memory must be more than 0')
  if (!(vcpus >= 1)) refuse('there must be at least 1 vcpu')
}

function checkName(world: World, uuid: string, name: string): void {
  for (const other of world.domains.values()) {
    if (other.uuid !== uuid && other.settings.name === name) throw RMO.NAME_TAKEN({ kind: 'VM', name, host: world.host, uuid: other.uuid })
  }
  const coming = [...world.incoming].find(([other, { settings }]) => other !== uuid && settings.name === name)
  if (coming !== undefined) throw RMO.NAME_TAKEN({ kind: 'VM', name, host: world.host, uuid: coming[0] })
}

export function define(world: World, uuid: string, wish: VmSettings, metadata: DomainMetadata, managed: boolean): Domain {
  checkSettings(wish)
  checkName(world, uuid, wish.name)
  const settings = frozen({ ...structuredClone(wish), devices: allPlaced(world, wish.devices) })
  const known = world.domains.get(uuid)
  const domain: Domain = known ?? { uuid, settings, metadata, managed, state: 'stopped', reason: 'defined', snapshots: [], consoles: new Set() }
  if (known !== undefined) {
    if (isActive(known)) {
      if (known.settings.name !== settings.name) throw invalidState(known, 'renaming', 'stopped')
      // A balloon gives memory back at once; more than the guest was started with comes with its next start.
      if (settings.memoryMiB < known.guest.memoryMiB) known.guest = balloonGuest(known.guest, settings.memoryMiB)
    }
    known.settings = settings
    known.managed ||= managed
  }
  domain.metadata = frozen(structuredClone(metadata))
  world.domains.set(uuid, domain)
  world.touch(domain)
  tell(world, domain, 'defined', known === undefined ? 'added' : 'updated')
  return domain
}

function start(world: World, domain: Domain, paused: boolean): void {
  if (isActive(domain)) {
    if (domain.state === 'paused' && !paused) throw invalidState(domain, 'start', 'stopped, crashed or saved (resume it instead)')
    return
  }
  const { settings, uuid, saved } = domain
  needMemory(world, settings.name, saved?.memoryMiB ?? settings.memoryMiB)
  const missing = missingDisk(world, settings)
  if (missing !== undefined) throw noSuchFile('start', settings.name, missing)
  needNetworks(world, settings)
  const nowMs = world.clock.nowMs()
  const guest = saved === undefined ? newGuest(world, uuid, settings) : resumeGuest(saved, nowMs)
  begin(world, domain, paused ? pauseGuest(guest, nowMs) : guest, saved === undefined ? 'booted' : 'restored')
  tell(world, domain, 'started', domain.reason)
  if (paused) tell(world, domain, 'suspended', 'paused')
}

/** Asks the guest; a deaf one does not hear. */
function ask(world: World, domain: Domain & { guest: Guest }, what: 'shutdown' | 'reboot'): void {
  const nowMs = world.clock.nowMs()
  if (domain.guest.hung || !isUp(domain.guest, nowMs) || domain.due?.what === 'shutdown') return
  domain.due = { atMs: nowMs + world.shutdownMs, what }
  if (what === 'shutdown') {
    domain.state = 'stopping'
    domain.reason = 'shutdown'
    tell(world, domain, 'shutdown', 'guest')
  }
  world.touch(domain)
}

export function destroy(world: World, domain: Domain): void {
  if (!isActive(domain)) return
  end(world, domain, 'stopped', 'destroyed')
  tell(world, domain, 'stopped', 'destroyed')
}

export function suspend(world: World, domain: Domain): void {
  if (domain.state === 'paused') return
  if (domain.state !== 'running' || domain.guest === undefined) throw invalidState(domain, 'suspend', 'running')
  domain.guest = pauseGuest(domain.guest, world.clock.nowMs())
  domain.state = 'paused'
  domain.reason = 'paused'
  world.touch(domain)
  tell(world, domain, 'suspended', 'paused')
}

function resume(world: World, domain: Domain): void {
  if (domain.state === 'running') return
  if (domain.state !== 'paused' || domain.guest === undefined) throw invalidState(domain, 'resume', 'paused')
  domain.guest = resumeGuest(domain.guest, world.clock.nowMs())
  domain.state = 'running'
  domain.reason = 'unpaused'
  world.touch(domain)
  tell(world, domain, 'resumed', 'unpaused')
}

async function save(world: World, domain: Domain, call: Call): Promise<void> {
  if (domain.state === 'saved') return
  const { guest, state } = domain
  if (guest === undefined || (state !== 'running' && state !== 'paused')) throw invalidState(domain, 'save', 'running or paused')
  await job(domain, 'save', () => copying(world, 'save', guest.memoryMiB, call))
  const saved = pauseGuest(domain.guest ?? guest, world.clock.nowMs())
  end(world, domain, 'saved', 'saved')
  domain.saved = saved
  tell(world, domain, 'saved', 'saved')
}

/** Every guest's disk slower (or as fast as before) from now on. */
export function slowDisks(world: World, slowness: number): void {
  world.slowness = slowness
  for (const domain of world.domains.values()) {
    if (isActive(domain)) domain.guest = slowGuest(domain.guest, slowness, world.clock.nowMs())
  }
  world.touch()
}

export function createDomains(world: World): LifeDriver {
  /** A command on a domain that nothing long goes on with. */
  const on = (operation: string, uuid: string, call: Call, work: (domain: Domain) => void | Promise<void>): Promise<void> =>
    command(world, operation, call, () => work(idleDomainOf(world, uuid)))
  return {
    define: (uuid, settings, metadata, call) => command(world, 'define', call, () => {
      if (world.domains.has(uuid)) idleDomainOf(world, uuid)
      return domainRecord(define(world, uuid, settings, metadata, true))
    }),
    undefine: (uuid, call) => on('undefine', uuid, call, (domain) => {
      if (isActive(domain)) throw invalidState(domain, 'undefine', 'stopped')
      world.domains.delete(uuid)
      world.touch()
      tell(world, domain, 'undefined', 'removed')
    }),
    start: (uuid, { paused = false }, call) => on('start', uuid, call, (domain) => start(world, domain, paused)),
    shutdown: (uuid, call) => on('shutdown', uuid, call, (domain) => {
      if (domain.state === 'paused') throw invalidState(domain, 'shutdown', 'running')
      if (isActive(domain)) ask(world, domain, 'shutdown')
    }),
    reboot: (uuid, call) => on('reboot', uuid, call, (domain) => {
      if (domain.state !== 'running' || !isActive(domain)) throw invalidState(domain, 'reboot', 'running')
      ask(world, domain, 'reboot')
    }),
    destroy: (uuid, call) => command(world, 'destroy', call, () => destroy(world, domainOf(world, uuid))),
    suspend: (uuid, call) => on('suspend', uuid, call, (domain) => suspend(world, domain)),
    resume: (uuid, call) => on('resume', uuid, call, (domain) => resume(world, domain)),
    save: (uuid, call) => on('save', uuid, call, (domain) => save(world, domain, call)),
    attach: (uuid, device, call) => on('attach', uuid, call, (domain) => attach(world, domain, device)),
    detach: (uuid, device, call) => on('detach', uuid, call, (domain) => detach(world, domain, device)),
    setAutostart: (uuid, autostart, call) => on('setAutostart', uuid, call, (domain) => {
      domain.settings = frozen({ ...domain.settings, autostart })
      world.touch(domain)
    }),
    get: (uuid, call) => command(world, 'get', call, () => {
      const domain = world.domains.get(uuid)
      return domain === undefined ? undefined : domainRecord(domain)
    }),
    describe: (uuid, call) => command(world, 'describe', call, () => JSON.stringify(domainRecord(domainOf(world, uuid)), undefined, 2)),
    openConsole: (uuid, call) => command(world, 'openConsole', call, () => openConsole(world, domainOf(world, uuid))),
  }
}
