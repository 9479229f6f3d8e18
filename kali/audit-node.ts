// The audit of a whole node: who may read it, and which RPC methods are privileged acts of their own. Verbs of objects are
// recorded where they run (rmo/run-verb.ts), logins and changes of users and roles by kali/trust itself.
//
// Not in the table: what only computes with the caller's rights (functions.run, functions.invoke: what it does to objects is
// recorded there), and what members do for each other as a part of an act that is recorded (migrations, leases, copies).

import { systemClock, systemRandom } from '../fabric/base.ts'
import type { CallContext, FabricNode, LocalStore, OpenDoorsOptions } from '../fabric/mod.ts'
import { auditMethods, RMO, startAudit } from '../rmo/mod.ts'
import type { AccessPolicy, DescribeMethod, LocalObjects, NodeAudit, NodeAuditLog, NodeCapabilities } from '../rmo/mod.ts'

const fieldsOf = (body: unknown): Readonly<Record<string, unknown>> => (typeof body === 'object' && body !== null ? body as Record<string, unknown> : {})
const shown = (value: unknown): string => (typeof value === 'string' ? value : '')
const ofNode = (verb: string): DescribeMethod => () => ({ verb, object: '' })
/** {name}: a deployed function, a secret. */
const named = (verb: string, kind: string): DescribeMethod => (body) => ({ verb, object: `${kind}/${shown(fieldsOf(body)['name'])}` })
/** [name, ...] */
const first = (verb: string): DescribeMethod => (body) => ({ verb, object: `function/${shown(Array.isArray(body) ? body[0] : '').split('@')[0] ?? ''}` })
const changesFunction = (verb: string): [string, DescribeMethod] => [`functions.${verb}`, named(verb, 'function')]

const methodsOf = (self: string): Readonly<Record<string, DescribeMethod>> => ({
  'node.ticket': ofNode('ticket'),
  'node.revoke': (body) => ({ verb: 'node.revoke', object: `node/${shown(fieldsOf(body)['node'])}` }),
  'node.admit': (body) => ({ verb: 'node.admit', object: `node/${shown(fieldsOf(body)['node'])}` }),
  'node.down': () => ({ verb: 'down', object: '', unrecorded: 'go-on' }),
  'node.store.copy': (body) => ({ verb: 'store.copy', object: '', name: shown(Array.isArray(body) ? body[0] : '').replace(/\/\/[^@/]*@/, '//') }),
  'functions.deploy': (body) => ({ verb: 'deploy', object: '', name: shown((fieldsOf(body)['files'] as readonly unknown[] | undefined)?.[0]) }),
  ...Object.fromEntries(['rollback', 'alias', 'pause', 'resume', 'remove'].map(changesFunction)),
  'functions.enqueue': first('enqueue'),
  'functions.redrive': first('redrive'),
  'functions.discard': first('discard'),
  'functions.secret.set': named('secret.set', 'secret'),
  'functions.secret.remove': named('secret.remove', 'secret'),
  // Consoles and files: at the object's home.
  'rmo.stream': (body) => {
    const { kind, uuid, home, stream } = fieldsOf(body)
    return home === self ? { verb: shown(stream), object: `${shown(kind)}/${shown(uuid)}` } : undefined
  },
  'account.setPrices': ofNode('account.prices'),
  'audit.list': ofNode('audit'),
  'audit.verify': ofNode('audit.verify'),
  'audit.export': ofNode('audit.export'),
})

export interface NodeAuditOptions {
  readonly fabric: FabricNode
  readonly log: NodeAuditLog
  readonly store: LocalStore
  readonly objects: LocalObjects
  readonly capabilities: NodeCapabilities
  readonly policy: Pick<AccessPolicy, 'may'>
}

export function createNodeAudit({ fabric, log, store, objects, capabilities, policy }: NodeAuditOptions): NodeAudit {
  /** Of everything, by right; of one object that lives here, whoever may read its audit(). */
  const mayRead = async (context: CallContext, object: string | undefined): Promise<void> => {
    const { allowed, reason } = policy.may(context.principal, 'audit:read')
    if (allowed) return
    const [kind = '', which = ''] = object?.split(/[:/]/, 2) ?? []
    const found = capabilities.kinds.kinds.find((known) => known.kind.toLowerCase() === kind.toLowerCase())
    const here = found === undefined ? [] : objects.list(found.kind).filter(({ uuid, local }) => uuid === which || String(found.observe(local).name) === which)
    if (here.length === 0) throw RMO.DENIED({ principal: context.principal, kind: 'audit log', name: fabric.membership.self.name, verb: 'read', acl: 'audit:read', reason })
    for (const { kind: of, uuid } of here) await capabilities.pass(capabilities.find({ kind: of, uuid, home: fabric.id }), 'audit', 'administer', context)
  }
  return startAudit({
    log, store, signer: fabric.signer, registry: fabric.registry, clock: systemClock, fabric: fabric.info().fabric,
    members: () => fabric.membership.members(), peer: (node) => fabric.peer(node), mayRead, warn: (message, about) => fabric.log.warn(message, about),
  })
}

/** The local doors with what they refuse of privileged methods on record. */
export function recordRefusals({ admit, ...doors }: OpenDoorsOptions, fabric: Pick<FabricNode, 'id'>, log: NodeAuditLog): OpenDoorsOptions {
  const privileged = new Set(Object.keys(methodsOf(fabric.id)))
  return {
    ...doors,
    ...(admit === undefined ? {} : {
      admit(connection) {
        const visitor = admit(connection)
        return {
          ...visitor,
          refuse(method, principal) {
            const refusal = visitor.refuse(method, principal)
            if (refusal !== undefined && privileged.has(method)) log.refused({ operation: '', trace: '', principal, verb: method, object: '' }, `${refusal.code}: ${refusal.message}`)
            return refusal
          },
        }
      },
    }),
  }
}

const OPERATION_BYTES = 16

/** Call when every method is registered. Throws when the table names one that is not: it has gone stale. */
export function auditNodeMethods(fabric: Pick<FabricNode, 'id' | 'registry'>, log: NodeAuditLog): void {
  const operation = (): string => Buffer.from(systemRandom.bytes(OPERATION_BYTES)).toString('hex')
  const missing = auditMethods({ registry: fabric.registry, log, clock: systemClock, operation, methods: methodsOf(fabric.id) })
  if (missing.length > 0) throw new Error(`the audit's table names methods that this node does not have: ${missing.join(', ')}`)
}
