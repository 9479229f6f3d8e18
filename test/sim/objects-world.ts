// A data center of simulated hosts on virtual time under random operations and random faults, and what must hold when
// the faults are over. One seed is one run: the same order of the same events, so a failing seed replays.
//
//   random(seed) -> operations (add, clone, migrate, remove, ...) side by side with faults (refused and stalled driver calls,
//   lost connections, crashes, cut links, lost answers, nodes that start again) -> heal -> invariants

import { createHash } from 'node:crypto'
import { errorCode, seededRandom } from '../../fabric/base.ts'
import type { Random } from '../../fabric/base.ts'
import { SimClock } from '../../fabric/sim-clock.ts'
import type { Authority, ReferenceRecord } from '../../functions/mod.ts'
import type { DomainRecord, Inventory } from '../../rmo/driver/contract.ts'
import type { MemoryOperation } from '../../rmo/driver/memory/faults.ts'
import { disksOf } from '../../rmo/host/storage/disk-plan.ts'
import { isActive } from '../../rmo/vm-state.ts'
import { createTestHosts } from '../support/hosts.ts'
import type { TestHost, TestHosts } from '../support/hosts.ts'

export interface ObjectsRun {
  readonly seed: number
  readonly operations: number
  readonly done: number
  readonly refused: number
  readonly codes: Readonly<Record<string, number>>
  readonly violations: readonly string[]
  readonly traceHash: string
  /** What was asked, what failed and what hurt, with the virtual time. */
  readonly trace: readonly string[]
}
export interface ObjectsOptions {
  readonly hosts?: number
  readonly operations?: number
  readonly faults?: boolean
}

const HEAL_MS = 180_000
const BUDGET_MS = 60_000
const NAMES = ['web', 'db', 'mail', 'cache', 'web ü', 'Web', 'we-b', 'queue']
const FAILING: readonly MemoryOperation[] = [
  'define', 'undefine', 'start', 'shutdown', 'destroy', 'suspend', 'resume', 'save', 'attach', 'detach', 'setAutostart', 'get', 'acceptIncoming', 'refuseIncoming', 'migrate', 'completeIncoming',
  'createSnapshot', 'revertSnapshot', 'deleteSnapshot', 'createVolume', 'copyVolume', 'deleteVolume', 'inventory',
]

interface World {
  readonly clock: SimClock
  readonly random: Random
  readonly hosts: TestHosts
  readonly trace: string[]
  readonly violations: string[]
  readonly codes: Map<string, number>
  /** What errors said is left behind, and disks that were taken off a VM: accounted for. */
  readonly left: string[]
  /** Cold VMs, to be added again and again. */
  readonly drafts: ReferenceRecord[]
  /** Hosts whose node is on its way down or up. */
  readonly restarting: Set<string>
}

const call = { remainingMs: () => 60_000 }
const pick = <T>(random: Random, from: readonly T[]): T => from[random.int(from.length)] as T

function authorityOf({ clock, random }: World): Authority {
  const endsAtMs = clock.nowMs() + BUDGET_MS
  const abort = new AbortController()
  clock.after(random.int(20) === 0 ? random.int(2_000) : BUDGET_MS, () => abort.abort(Object.assign(new Error('the caller left'), { code: 'FABRIC_ERR_CANCELLED' })))
  return { principal: `local:${random.int(3)}`, trace: '0123456789abcdef', hop: 0, signal: abort.signal, remainingMs: () => Math.max(0, endsAtMs - clock.nowMs()) }
}

// ---------------------------------------------------------------- operations

type Operation = (world: World, at: TestHost, by: Authority) => Promise<unknown>
const someVm = ({ random }: World, at: TestHost) => {
  const vms = at.host.vms.list()
  return vms.length === 0 ? undefined : pick(random, vms)
}
const onVm = (work: (vm: NonNullable<ReturnType<typeof someVm>>, world: World, by: Authority, at: TestHost) => Promise<unknown>): Operation =>
  async (world, at, by) => { const vm = someVm(world, at); return vm === undefined ? undefined : work(vm, world, by, at) }

/** A new place, or now and then one that somebody has here. A name is used once, because simulated hosts share nothing but what moves with a VM. */
function somePath({ random, trace }: World, host: TestHost['host']): string {
  const { volumes } = host.inventory()
  return random.int(4) === 0 && volumes.length > 0 ? pick(random, volumes).path : `/nfs/images/own-${trace.length}.qcow2`
}

/** A path that a user chose. */
const isNamed = (path: string): boolean => path.includes('/own-')

const OPERATIONS: Readonly<Record<string, { readonly weight: number; readonly run: Operation }>> = {
  add: { weight: 20, async run(world, { host }, by) {
    const { random, drafts } = world
    // Only where it was added before: that a uuid is on one host of all is not a host's to know.
    const here = drafts.filter(({ home }) => home === host.self)
    const again = here.length > 0 && random.int(4) === 0
    const draft = again ? pick(random, here) : host.vmm.createVM({
      name: pick(random, NAMES), memoryMiB: 64, ...random.int(3) === 0 ? {} : { image: 'guest' },
      ...random.int(3) === 0 ? { context: { hostname: 'x' } } : {},
      devices: [
        ...random.int(2) === 0 ? [{ type: 'interface' as const, network: 'default' }] : [],
        ...random.int(4) === 0 ? [{ type: 'disk' as const, path: somePath(world, host), format: 'qcow2' as const, create: 'auto' as const, sizeMiB: 8 }] : [],
      ],
    })
    if (!again) drafts.push(draft)
    return host.vmm.add(draft, { start: random.int(2) === 0 }, by)
  } },
  clone: { weight: 8, run: onVm((vm, { random, hosts }, by) => vm.clone({
    disks: pick(random, ['overlay', 'full']), ...random.int(2) === 0 ? { name: pick(random, NAMES) } : {}, ...random.int(3) === 0 ? { to: pick(random, hosts.hosts).pm } : {}, start: random.int(2) === 0,
  }, by)) },
  migrate: { weight: 14, run: onVm((vm, { random, hosts, left }, by) => {
    const paths = disksOf(vm.settings()).flatMap(({ path }) => path ?? [])
    // Notes of a simulated host do not move with a file, and only of a name that Kumoi chose is it known whose it is.
    left.push(...paths.filter(isNamed))
    return vm.migrate(pick(random, hosts.hosts).pm, { live: random.int(3) > 0 }, by).catch((error: unknown) => {
      // Files of a simulated directory travel with the handover, which such a failure may lose.
      left.push(...paths)
      throw error
    })
  }) },
  remove: { weight: 10, run: onVm(async (vm, { random }, by, { host }) => host.vmm.remove(vm.reference(), { force: random.int(2) === 0 }, by)) },
  start: { weight: 8, run: onVm((vm, { random }, by) => vm.start({ paused: random.int(4) === 0 }, by)) },
  stop: { weight: 6, run: onVm((vm, { random }, by) => vm.stop({ force: random.int(2) === 0, timeoutMs: 1 + random.int(3_000) }, by)) },
  destroy: { weight: 5, run: onVm((vm, _world, by) => vm.destroy(by)) },
  suspend: { weight: 3, run: onVm((vm, _world, by) => vm.suspend(by)) },
  resume: { weight: 4, run: onVm((vm, _world, by) => vm.resume(by)) },
  save: { weight: 3, run: onVm((vm, _world, by) => vm.save(by)) },
  snapshot: { weight: 3, run: onVm((vm, _world, by) => vm.snapshot({}, by)) },
  rename: { weight: 4, run: onVm((vm, { random }, by) => vm.apply({ name: pick(random, NAMES) }, by)) },
  resize: { weight: 3, run: onVm((vm, { random }, by) => vm.apply({ memoryMiB: 32 + random.int(64), autostart: random.int(2) === 0 }, by)) },
  plug: { weight: 5, run: onVm((vm, world, by, { host }) => vm.addDevice(world.random.int(2) === 0
    ? { type: 'interface', network: 'default' }
    : { type: 'disk', path: somePath(world, host), format: 'qcow2', create: 'auto', sizeMiB: 4 }, by)) },
  unplug: { weight: 4, run: onVm((vm, { random, left }, by) => {
    const devices = vm.settings().devices
    if (devices.length === 0) return Promise.resolve()
    const device = pick(random, devices)
    if (device.type === 'disk' && device.path !== undefined) left.push(device.path)
    return vm.removeDevice(device, by)
  }) },
  context: { weight: 3, run: onVm((vm, { random }, by) => vm.setContext({ hostname: `h${random.int(9)}` }, { again: random.int(2) === 0 }, by)) },
}
const BAG = Object.entries(OPERATIONS).flatMap(([name, { weight }]) => Array.from({ length: weight }, () => name))

async function operate(world: World, name: string, at: TestHost): Promise<'done' | 'refused'> {
  const number = world.trace.length
  world.trace.push(`${world.clock.nowMs()} ${name} at ${at.name}`)
  try {
    await OPERATIONS[name]?.run(world, at, authorityOf(world))
    world.trace.push(`${world.clock.nowMs()} ${number} ${name} done`)
    return 'done'
  } catch (error) {
    const code = errorCode(error) ?? 'none'
    world.codes.set(code, (world.codes.get(code) ?? 0) + 1)
    world.trace.push(`${world.clock.nowMs()} ${number} ${name} ${code}`)
    if (!/^(RMO|FABRIC)_ERR_/.test(code)) world.violations.push(`${name} failed without a code: ${error instanceof Error ? error.stack ?? error.message : String(error)}`)
    for (let at: unknown = error; at !== undefined && at !== null; at = (at as { readonly cause?: unknown }).cause) {
      const { left } = (at as { readonly details?: { readonly left?: unknown } }).details ?? {}
      world.trace.push(`  ${at instanceof Error ? at.message : String(at)}`)
      world.left.push(...Array.isArray(left) ? left.map(String) : typeof left === 'string' ? [left] : [])
    }
    return 'refused'
  }
}

// ---------------------------------------------------------------- faults

async function hurt({ random, hosts, clock, trace, left, restarting }: World): Promise<void> {
  const at = pick(random, hosts.hosts)
  const { faults } = at.driver
  const note = (what: string): void => { trace.push(`${clock.nowMs()} fault ${what} at ${at.name}`) }
  switch (random.int(9)) {
    case 0: case 1: case 2: { const operation = pick(random, FAILING); note(operation); faults.failNext(operation); return }
    case 3: note('stall'); faults.stallCalls(1 + random.int(3_000)); clock.after(random.int(5_000), () => faults.stallCalls(0)); return
    case 4: note('disconnect'); faults.disconnect(); clock.after(random.int(8_000), () => faults.reconnect()); return
    case 5: note('cut'); hosts.cut(at.name); clock.after(random.int(15_000), () => hosts.mend(at.name)); return
    case 6: {
      const lost = random.int(2) === 0 ? 'call' : 'answer'
      let times = 1 + random.int(3)
      note(`lost ${lost}`)
      hosts.intercept((_call, when) => {
        if (when !== lost || times-- <= 0) return
        throw Object.assign(new Error('lost'), { code: 'FABRIC_ERR_UNREACHABLE' })
      })
      return
    }
    case 7: {
      const running = at.host.vms.list().filter((vm) => vm.record.state === 'running')
      if (running.length === 0) return
      note('crash')
      try { faults.crash(pick(random, running).uuid) } catch { /* it has just stopped */ }
      return
    }
    default:
      if (restarting.has(at.name)) return
      restarting.add(at.name)
      note('restart')
      left.push(...(await at.driver.inventory(call).catch(() => undefined))?.volumes.map(({ path }) => path).filter(isNamed) ?? [])
      try { await at.restart() } finally { restarting.delete(at.name) }
  }
}

// ---------------------------------------------------------------- invariants

interface Seen { readonly name: string; readonly inventory: Inventory; readonly at: TestHost }
const look = async ({ hosts }: World): Promise<readonly Seen[]> => Promise.all(hosts.hosts.map(async (at) => ({ name: at.name, inventory: await at.driver.inventory(call), at })))
const twice = <T>(values: readonly T[]): readonly T[] => [...new Set(values.filter((value, i) => values.indexOf(value) !== i))]

/** At every moment: no VM runs on two hosts. */
function neverTwice(world: World, seen: readonly Seen[]): void {
  const running = seen.flatMap(({ inventory }) => inventory.domains.filter(({ state }) => isActive(state)).map(({ uuid }) => uuid))
  for (const uuid of twice(running)) world.violations.push(`${uuid} runs on two hosts at ${world.clock.nowMs()}`)
}

async function atRest(world: World): Promise<void> {
  const { hosts, violations, left } = world
  await Promise.all(hosts.hosts.map(({ host }) => host.resync()))
  const seen = await look(world)
  neverTwice(world, seen)
  for (const uuid of twice(seen.flatMap(({ inventory }) => inventory.domains.map((domain) => domain.uuid)))) violations.push(`${uuid} is defined on two hosts`)
  const paths = (domain: DomainRecord): readonly string[] => disksOf(domain.settings).flatMap(({ path }) => path ?? [])
  const allDisks = seen.flatMap(({ inventory }) => inventory.domains.flatMap((domain) => paths(domain)))
  for (const path of twice(allDisks.filter((path) => !path.endsWith('.image')))) violations.push(`${path} is the disk of two VMs`)
  const volumes = seen.flatMap(({ inventory }) => inventory.volumes)
  for (const { name, inventory, at } of seen) {
    const { domains } = inventory
    const told = left.join('\n')
    for (const each of twice(domains.map(({ settings }) => settings.name))) violations.push(`${name} has the name ${each} twice`)
    for (const mac of twice(domains.flatMap(({ settings }) => settings.devices.flatMap((device) => device.type === 'interface' ? device.mac ?? [] : [])))) violations.push(`${name} has the address ${mac} twice`)
    for (const domain of domains) {
      for (const path of paths(domain)) {
        if (inventory.volumes.some((volume) => volume.path === path) || told.includes(path)) continue
        violations.push(`${domain.settings.name} (${domain.uuid}) on ${name} lacks its disk ${path}`)
      }
      const vm = at.host.vms.get(domain.uuid)
      if (vm === undefined) violations.push(`${domain.uuid} on ${name} is no object`)
      else if (vm.record.state !== domain.state || vm.name !== domain.settings.name) violations.push(`${domain.uuid} on ${name} is ${domain.state} and shows ${vm.record.state}`)
      if (at.objects.get('VM', domain.uuid) === undefined) violations.push(`${domain.uuid} on ${name} is in no table`)
    }
    for (const vm of at.host.vms.list()) if (!domains.some(({ uuid }) => uuid === vm.uuid)) violations.push(`${vm.name} (${vm.uuid}) on ${name} is an object without a domain`)
    for (const volume of inventory.volumes) {
      if (volume.name.endsWith('.image') || allDisks.includes(volume.path) || volumes.some(({ backingPath }) => backingPath === volume.path) || told.includes(volume.path)) continue
      violations.push(`${volume.path} on ${name} belongs to nobody`)
    }
    for (const volume of inventory.volumes) if (volume.backingPath !== undefined && !inventory.volumes.some(({ path }) => path === volume.backingPath)) violations.push(`${volume.path} on ${name} stands on nothing`)
    const macs = new Set(domains.flatMap(({ settings }) => settings.devices.flatMap((device) => device.type === 'interface' ? device.mac ?? [] : [])))
    for (const mac of at.host.vms.macsTaken()) if (!macs.has(mac)) violations.push(`${name} keeps the address ${mac} for nobody`)
    for (const each of NAMES) if (at.host.migrations.expectsName(each, '')) violations.push(`${name} keeps the name ${each} for nobody`)
  }
}

// ---------------------------------------------------------------- a run

export async function runObjects(seed: number, { hosts: hostsCount = 3, operations = 60, faults = true }: ObjectsOptions = {}): Promise<ObjectsRun> {
  const clock = new SimClock()
  const random = seededRandom(seed)
  const made = createTestHosts(Array.from({ length: hostsCount }, (_, i) => `host${i + 1}`), { clock, storage: true, driver: () => ({ bootMs: 500, shutdownMs: 300, copyMiBps: 500 }) })
  let hosts: TestHosts | undefined
  void made.then((ready) => { hosts = ready })
  while (hosts === undefined) await clock.settle(10)
  const world: World = { clock, random, hosts, trace: [], violations: [], codes: new Map(), left: [], drafts: [], restarting: new Set() }
  try {
    const running = new Set<Promise<unknown>>()
    const outcomes = { done: 0, refused: 0 }
    for (let i = 0; i < operations; i++) {
      const turn = operate(world, pick(random, BAG), pick(random, hosts.hosts)).then((outcome) => { outcomes[outcome]++ })
      running.add(turn)
      void turn.finally(() => running.delete(turn))
      if (faults && random.int(4) === 0) {
        const pain = hurt(world)
        running.add(pain)
        void pain.finally(() => running.delete(pain))
      }
      await clock.settle(random.int(3) === 0 ? random.int(1_500) : random.int(60))
      neverTwice(world, await (async () => { const seen = look(world).catch(() => []); await clock.settle(0); return Promise.race([seen, Promise.resolve([] as const)]) })())
    }
    hosts.intercept(undefined)
    for (const { name, driver } of hosts.hosts) { hosts.mend(name); driver.faults.stallCalls(0); driver.faults.reconnect() }
    await clock.settle(HEAL_MS)
    if (running.size > 0) world.violations.push(`${running.size} operations never ended`)
    // What was to fail and was never asked for must not fail the looking.
    for (let tries = 0; tries < 200; tries++) for (const { driver } of hosts.hosts) await driver.inventory(call).catch(() => {})
    let rested = false
    const rest = atRest(world).then(() => { rested = true })
    for (let turns = 0; !rested && turns < 100; turns++) await clock.settle(100)
    if (!rested) world.violations.push('the hosts did not come to rest')
    else await rest
    return {
      seed, operations, ...outcomes, codes: Object.fromEntries([...world.codes].sort()), violations: [...new Set(world.violations)],
      traceHash: createHash('sha256').update(world.trace.join('\n')).digest('hex').slice(0, 16), trace: world.trace,
    }
  } finally {
    let stopped = false
    void hosts.stop().then(() => { stopped = true }, () => { stopped = true })
    for (let turns = 0; !stopped && turns < 100; turns++) await clock.settle(100)
  }
}
