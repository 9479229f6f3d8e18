// A small data center for judging: VM web1 of pool p1 on machine m1, VM lone on m1 in no pool, a snapshot of web1, a volume of m1.

import { kumoiKinds } from '../../../kali/mod.ts'
import { createAccessPolicy } from '../../../rmo/mod.ts'
import type { AccessPolicy, AclRule, ObjectKey, RightPattern, UserStanding } from '../../../rmo/mod.ts'
import type { AclVerb } from '../../../rmo/mod.ts'

export const GLOBAL: ObjectKey = { kind: 'Global', uuid: 'g' }
const POOL: ObjectKey = { kind: 'Pool', uuid: 'p1' }
const MACHINE: ObjectKey = { kind: 'PhysicalMachine', uuid: 'm1' }
const WEB1: ObjectKey = { kind: 'VM', uuid: 'web1' }
const CHAINS: Readonly<Record<string, readonly ObjectKey[]>> = {
  global: [GLOBAL], p1: [POOL, GLOBAL], m1: [MACHINE, POOL, GLOBAL], web1: [WEB1, POOL, MACHINE, GLOBAL], lone: [{ kind: 'VM', uuid: 'lone' }, MACHINE, GLOBAL],
  snap: [{ kind: 'Snapshot', uuid: 'snap' }, WEB1, POOL, MACHINE, GLOBAL], vol: [{ kind: 'Volume', uuid: 'vol' }, MACHINE, POOL, GLOBAL],
}
export const PLACES = Object.keys(CHAINS)

/** "allow user:alice vm:read *:watch" by place. */
export type Written = Readonly<Record<string, readonly string[]>>
export const rule = (written: string): AclRule => {
  const [effect = '', principal = '', ...verbs] = written.split(' ')
  return { effect: effect as AclRule['effect'], principal, verbs }
}

export interface LabOptions {
  readonly rules?: Written
  readonly users?: Readonly<Record<string, Partial<UserStanding>>>
  readonly roles?: Readonly<Record<string, readonly RightPattern[]>>
  readonly grants?: Readonly<Record<string, readonly AclVerb[]>>
}

export interface AclLab extends AccessPolicy {
  /** "vm:start web1" or "start web1": may he? */
  ask(principal: string, verb: string, place: string, via?: string): boolean
  change(options: LabOptions): void
}

export function aclLab(first: LabOptions = {}): AclLab {
  let version = 0
  let rules = new Map<string, readonly AclRule[]>()
  let options = first
  const change = (next: LabOptions): void => {
    options = next
    version++
    rules = new Map(Object.entries(next.rules ?? {}).map(([place, written]) => [place === 'global' ? 'g' : place, written.map(rule)]))
  }
  change(first)
  const none: readonly AclRule[] = []
  const policy = createAccessPolicy({
    kinds: kumoiKinds, rulesOf: ({ uuid }) => rules.get(uuid) ?? none, ancestors: ({ uuid }) => CHAINS[uuid === 'g' ? 'global' : uuid] ?? [GLOBAL], global: GLOBAL,
    ...(first.grants === undefined ? {} : { grants: first.grants }),
    trust: {
      user(name) {
        const user = Object.hasOwn(options.users ?? {}, name) ? options.users?.[name] : undefined
        return user === undefined ? undefined : { groups: [], roles: [], revoked: false, ...user }
      },
      role: (name) => (Object.hasOwn(options.roles ?? {}, name) ? options.roles?.[name] ?? [] : []),
      get version() { return version },
    },
  })
  return {
    ...policy, change,
    ask(principal, verb, place, via) {
      const [{ kind, uuid } = GLOBAL] = CHAINS[place] ?? []
      const operation = kumoiKinds.kindOf(kind).operations.get(verb)
      const acl = operation?.acl ?? (verb === 'watch' ? 'watch' : verb === 'console' ? 'execute' : undefined)
      if (acl === undefined) throw new Error(`${kind} has no verb ${verb}`)
      return policy.judge({ principal, kind, uuid, verb, acl, ...(via === undefined ? {} : { via }) }).allowed
    },
  }
}
