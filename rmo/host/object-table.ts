// Objects of one kind on this host, kept equal to a list: what a sync found is added, changed or removed, and told.
//
//   attributes of all there are --sync--> LocalObjects, events 'added', the kind's own, 'removed'
//
// observe() gives the same frozen object until something of it differs.

import type { HostContext } from './contract.ts'

export interface NamedAttributes { readonly name: string; readonly uuid: string }

export interface TableSpec<A extends NamedAttributes, L> {
  readonly kind: string
  /** The local object; `attributes()` are as of the last sync. */
  make(uuid: string, attributes: () => A): L
  /** Event types that tell of this difference; none for mere figures. */
  changes(before: A, after: A): readonly string[]
}
export interface ObjectTable<A extends NamedAttributes> {
  sync(all: readonly A[]): void
  get(uuid: string): A | undefined
  list(): readonly A[]
}

const same = (a: unknown, b: unknown): boolean =>
  a === b || (Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, i) => item === b[i]))

/** Do two flat records say the same? Lists are compared item by item. */
export const sameAttributes = <A extends object>(a: A, b: A): boolean =>
  Object.keys(b).every((key) => same(a[key as keyof A], b[key as keyof A]))

export function createObjectTable<A extends NamedAttributes, L>(context: HostContext, spec: TableSpec<A, L>): ObjectTable<A> {
  const rows = new Map<string, A>()
  const tell = (row: A, type: string): void => context.publish(spec.kind, row.uuid, { type, atMs: context.clock.wallMs(), name: row.name } as never)

  return {
    sync(all) {
      const seen = new Set<string>()
      for (const next of all) {
        const { uuid } = next
        seen.add(uuid)
        const before = rows.get(uuid)
        if (before !== undefined && sameAttributes(before, next)) continue
        rows.set(uuid, Object.freeze(next))
        if (before === undefined) {
          // After its removal a reference still held answers with the last known attributes until its home says it is gone.
          context.objects.add({ kind: spec.kind, uuid, local: spec.make(uuid, () => rows.get(uuid) ?? next), partOf: () => ({ kind: 'PhysicalMachine', uuid: context.machineUuid }) })
          tell(next, 'added')
        } else for (const type of spec.changes(before, next)) tell(next, type)
      }
      for (const [uuid, row] of rows) {
        if (seen.has(uuid)) continue
        rows.delete(uuid)
        context.objects.remove(spec.kind, uuid, { name: row.name, reason: `it is not on ${context.hostName()} any more` })
        tell(row, 'removed')
      }
    },
    get: (uuid) => rows.get(uuid),
    list: () => [...rows.values()],
  }
}
