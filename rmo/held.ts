// What stands behind a reference whose attributes can change in the holder's hand: a cold object, which is its
// settings, or a live one with assignments under way. References of other kinds are frozen values (proxy.ts).
//
//   cold   assignment, add(device), ...: here, at once            given to a verb: its settings of that moment
//   live   assignment: shown at once, sent as a patch, taken back when that fails
//   cold --a verb that was given it answers the same object live--> live, in place

import type { ColdVerb, ReferenceRecord } from '../functions/mod.ts'
import { assignmentsOf } from './assignments.ts'
import { checkArguments, operationOf } from './check.ts'
import { RMO } from './errors.ts'
import type { Kind } from './kind.ts'
import type { Changed } from './object.ts'
import { propertyUnknown } from './properties.ts'
import type { Session } from './session.ts'

type Values = Readonly<Record<string, unknown>>

/** What a change of a cold object answers: it has no version, for nobody else can change it. */
const COLD_CHANGE: Changed = Object.freeze({ version: 'cold', operation: '' })

/** The value as the kind takes it; throws RMO_ERR_READ_ONLY, RMO_ERR_PROPERTY_UNKNOWN or RMO_ERR_ARGUMENT_INVALID. */
export function checkAssigned(kind: Kind, name: string, property: string, value: unknown): unknown {
  const { settable = [], attributes, verbs, collections, references = {} } = kind.shape
  if (settable.includes(property)) return kind.attributes[property]?.type.check(value, { call: kind.kind, path: property }) ?? value
  const known = attributes.includes(property) || verbs.includes(property) || property in collections || property in references || property === 'watch' || property === 'unwatch'
  throw known ? RMO.READ_ONLY({ kind: kind.kind, name, property, settable }) : propertyUnknown(kind, name, property)
}

/** A value of an attribute as its holder sees it. */
export const shownValue = (kind: Kind, attribute: string, value: unknown): unknown => kind.attributes[attribute]?.type.show?.(value) ?? value

const withValues = (record: ReferenceRecord, values: Values): ReferenceRecord =>
  Object.freeze({ ...record, name: typeof values.name === 'string' ? values.name : record.name, attributes: Object.freeze({ ...record.attributes, ...values }) })

export class Held {
  readonly kind: Kind
  /** Where its calls go; a loaded object has none until it is added somewhere. */
  session: Session
  #record: ReferenceRecord
  /** Assigned and not yet known to be so at home. */
  #assigned: Values | undefined
  #now: ReferenceRecord | undefined

  constructor(record: ReferenceRecord, kind: Kind, session: Session) {
    this.#record = record
    this.kind = kind
    this.session = session
  }

  /** The record as of now, assignments included: what travels when the object is given to a verb. */
  get record(): ReferenceRecord { return this.#now ??= this.#assigned === undefined ? this.#record : withValues(this.#record, this.#assigned) }
  get isCold(): boolean { return this.#record.cold === true }

  read(attribute: string): unknown {
    const { record } = this
    if (attribute === 'name' || attribute === 'uuid') return record[attribute]
    if (attribute === 'state' && record.cold === true) return 'cold'
    // No attribute of a kind is named as something of Object.prototype.
    return shownValue(this.kind, attribute, record.attributes[attribute])
  }

  assign(attribute: string, given: unknown): void {
    const value = checkAssigned(this.kind, this.record.name, attribute, given)
    if (this.isCold) return this.#set(withValues(this.#record, { [attribute]: value }))
    // A refusal to queue must not leave the value shown.
    assignmentsOf(this.session).assign(this.#record, attribute, value, (failed) => this.#settle(attribute, value, failed === undefined))
    this.#assigned = { ...this.#assigned, [attribute]: value }
    this.#now = undefined
  }

  /** A verb that a cold object carries out on its own settings. A mistake is thrown here and now: such calls are seldom awaited. */
  change(verb: string, { setting, how }: ColdVerb, args: readonly unknown[]): Promise<Changed> {
    const [value] = checkArguments(this.kind.kind, verb, operationOf(this.kind, verb), args)
    const list = this.#record.attributes[setting]
    const items: readonly unknown[] = Array.isArray(list) ? list : []
    this.#set(withValues(this.#record, { [setting]: how === 'set' ? value : how === 'append' ? [...items, value] : without(items, value, `${this.kind.kind}.${verb}`) }))
    return Promise.resolve(COLD_CHANGE)
  }

  /** The answer to a verb that was given this cold object as it was in `sent`: from now on it is that object. */
  becomeLive(live: ReferenceRecord, sent: ReferenceRecord, session: Session): void {
    if (!this.isCold || live.cold === true || live.kind !== this.#record.kind || live.uuid !== this.#record.uuid) return
    const settings = this.#record.attributes
    this.session = session
    this.#set(live)
    // What was assigned while the verb was under way follows as a patch.
    for (const name of this.kind.shape.settable ?? []) {
      if (settings[name] !== sent.attributes[name]) this.assign(name, settings[name])
    }
  }

  #set(record: ReferenceRecord): void {
    this.#record = record
    this.#now = undefined
  }

  #settle(attribute: string, value: unknown, done: boolean): void {
    if (done) this.#record = withValues(this.#record, { [attribute]: value })
    // Assigned anew meanwhile: that one shows, until its own end.
    const assigned = this.#assigned ?? {}
    if (assigned[attribute] === value) {
      const { [attribute]: _ended, ...rest } = assigned
      this.#assigned = Object.keys(rest).length === 0 ? undefined : rest
    }
    this.#now = undefined
  }
}

const same = (a: unknown, b: unknown): boolean => a === b || (typeof a === 'object' && typeof b === 'object' && JSON.stringify(a) === JSON.stringify(b))

/** The list without the items that have every field of `pattern`. */
function without(items: readonly unknown[], pattern: unknown, call: string): readonly unknown[] {
  const fields = Object.entries(pattern as Values)
  const rest = items.filter((item) => fields.length === 0 || !fields.every(([key, value]) => same((item as Values)[key], value)))
  if (rest.length === items.length) throw RMO.ARGUMENT_INVALID({ call, path: 'the argument', expected: 'some fields of one that it has', got: JSON.stringify(pattern).slice(0, 200) })
  return rest
}

/** Hidden own property: a read through it costs what a property costs, through a WeakMap ten times that. */
const HELD = Symbol('held')
export const hold = (reference: object, held: Held): void => { Object.defineProperty(reference, HELD, { value: held }) }
/** What stands behind a reference; undefined for references that are plain values, and for anything else. */
export const heldOf = (value: unknown): Held | undefined => typeof value === 'object' && value !== null ? (value as { readonly [HELD]?: Held })[HELD] : undefined
