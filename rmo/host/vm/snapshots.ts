// Snapshots of the VMs of this host: made with the VM's lock held, gone with their VM.

import type { Authority, ReferenceRecord } from '../../../functions/mod.ts'
import type { SnapshotRecord } from '../../driver/contract.ts'
import { RMO } from '../../errors.ts'
import type { SnapshotInfo } from '../../kinds/interfaces.ts'
import type { LocalSnapshot, SnapshotAttributes } from '../../kinds/snapshot.ts'
import type { SnapshotWish } from '../../kinds/vm.ts'
import type { ObjectEvent } from '../../object.ts'
import { snapshotUuidOf } from '../../uuid.ts'
import { isActive, mustDo } from '../../vm-state.ts'
import { setGoing } from './set-going.ts'
import type { HostVm } from './vm.ts'
import type { VmContext } from './vm-context.ts'
import { withVm } from './vm-verbs.ts'

export class HostSnapshot implements LocalSnapshot {
  readonly uuid: string
  /** A reading that began before this number does not know it yet. */
  touched = 0
  readonly #context: VmContext
  #record: SnapshotRecord
  #attributes: SnapshotAttributes | undefined

  constructor(context: VmContext, record: SnapshotRecord) {
    this.#context = context
    this.#record = record
    this.uuid = HostSnapshot.uuidOf(record)
  }
  static uuidOf({ domain, name }: SnapshotRecord): string { return snapshotUuidOf(domain, name) }

  get record(): SnapshotRecord { return this.#record }
  /** True when something of it changed. */
  see(record: SnapshotRecord): boolean {
    const { current, description, parent } = this.#record
    if (record.current === current && record.description === description && record.parent === parent) return false
    this.#record = record
    this.#attributes = undefined
    return true
  }
  attributes(): SnapshotAttributes {
    const { name, state, content, current, createdAtMs } = this.#record
    return this.#attributes ??= Object.freeze({ name, uuid: this.uuid, vmName: this.#vm()?.name ?? '', state, content, current, createdAtMs })
  }
  info(): SnapshotInfo {
    const { domain, name, createdAtMs, state, content, parent, current, description } = this.#record
    return { name, uuid: this.uuid, vm: domain, createdAtMs, state, content, current, ...parent === undefined ? {} : { parent }, ...description === undefined ? {} : { description } }
  }
  onEvent(listener: (event: ObjectEvent) => void): () => void { return this.#context.host.subscribe('Snapshot', this.uuid, listener) }
  vm(): ReferenceRecord { return this.#context.host.reference('VM', this.#record.domain) }

  async revert(authority: Authority): Promise<void> {
    await withVm(this.#context, this.#here(), authority, async ({ settings, state, metadata }, call) => {
      mustDo('revert', { name: settings.name, state })
      await this.#context.migrations().assertSettled(this.#record.domain)
      const { domain: uuid, name, content } = this.#record
      const revert = (): Promise<void> => this.#context.host.driver.domains.revertSnapshot(uuid, name, call)
      // With its memory it goes on where it was.
      if (content === 'memory') await setGoing(this.#context, { uuid, name: settings.name, metadata }, revert)
      else await revert()
    })
    await reread(this.#context)
  }
  async remove(authority: Authority): Promise<void> {
    await withVm(this.#context, this.#here(), authority, async (_record, call) => {
      await this.#context.host.driver.domains.deleteSnapshot(this.#record.domain, this.#record.name, call)
    })
    await reread(this.#context)
  }
  #vm(): HostVm | undefined { return this.#context.room.get(this.#record.domain) }
  #here(): HostVm {
    const vm = this.#vm()
    if (vm === undefined) throw RMO.GONE({ kind: 'Snapshot', name: this.#record.name, reason: 'its VM was removed' })
    return vm
  }
}

/** What was changed shows in collections; a reading that fails is made up by the next one. */
export const reread = (context: VmContext): Promise<void> => context.host.resync().catch(() => {})

/** "snapshot-20261122-155116"; the second one of a second gets "-2". */
function freeName(taken: ReadonlySet<string>, wallMs: number): string {
  const stamp = new Date(wallMs).toISOString().replaceAll(/[-:]|\..*$/g, '').replace('T', '-')
  let name = `snapshot-${stamp}`
  for (let n = 2; taken.has(name); n++) name = `snapshot-${stamp}-${n}`
  return name
}

export async function snapshotVm(context: VmContext, vm: HostVm, wish: SnapshotWish, authority: Authority): Promise<ReferenceRecord> {
  const { host, room } = context
  const record = await withVm(context, vm, authority, async ({ settings, state }, call) => {
    mustDo('snapshot', { name: settings.name, state })
    const taken = new Set(vm.related('Snapshot').map(({ name }) => name))
    if (wish.name !== undefined && taken.has(wish.name)) throw RMO.ALREADY_EXISTS({ what: `Snapshot "${wish.name}" of ${settings.name}`, host: host.hostName() })
    return host.driver.domains.createSnapshot(vm.uuid, {
      name: wish.name ?? freeName(taken, host.clock.wallMs()),
      content: wish.content ?? (isActive(state) ? 'memory' : 'disk'),
      ...wish.description === undefined ? {} : { description: wish.description },
    }, call)
  })
  const reference = room.rememberSnapshot(record)
  await reread(context)
  return reference
}
