// The common verbs that the home carries out for every kind alike: dump, patch, acls, account, audit.
//
// patch is checked against the version of the settings (version.ts) and runs one at a time for an object, so that of two
// writers who start from the same version one is told RMO_ERR_VERSION_CONFLICT; only what differs is applied.

import { LIMITS } from '../fabric/base.ts'
import type { Authority } from '../functions/mod.ts'
import { COMMON_VERBS } from './common.ts'
import { RMO } from './errors.ts'
import type { SettingsSpec } from './kind.ts'
import type { AclRule, ObjectDump } from './object.ts'
import type { Home, Verb } from './verb.ts'
import { canonicalText, changed, versionOf } from './version.ts'

type Settings = Readonly<Record<string, unknown>>
interface Subject {
  readonly kind: string
  readonly settings: SettingsSpec<unknown> | undefined
  observe(local: unknown): Settings
}

const settingsOf = ({ settings }: Subject, local: unknown): Settings => settings?.read(local) ?? {}

/** The settings of `change` that differ from `present`, each checked; a name that is no setting is refused. */
function checkedChange({ kind, settings }: Subject, name: string, present: Settings, change: Settings): Settings {
  const fields = settings?.fields ?? {}
  const differing: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(change)) {
    const type = Object.hasOwn(fields, key) ? fields[key] : undefined
    if (type === undefined) throw RMO.READ_ONLY({ kind, name, property: key, settable: Object.keys(fields) })
    const checked = type.check(value, { call: `${kind}.patch`, path: `change.${key}` })
    if (canonicalText(checked) !== canonicalText(present[key])) differing[key] = checked
  }
  return differing
}

async function patch(subject: Subject, local: unknown, change: Settings, options: { readonly version?: string }, authority: Authority, home: Home): Promise<unknown> {
  return home.serial(async () => {
    const name = String(subject.observe(local).name)
    const present = settingsOf(subject, local)
    const actual = versionOf(present)
    if (options.version !== undefined && options.version !== actual) throw RMO.VERSION_CONFLICT({ kind: subject.kind, name, expected: options.version, actual })
    const differing = checkedChange(subject, name, present, change)
    if (Object.keys(differing).length > 0) await subject.settings?.apply(local, differing, authority)
    return changed(settingsOf(subject, local), authority)
  })
}

const setRules = (subject: Subject, local: unknown, rules: readonly AclRule[], { was }: { readonly was?: readonly AclRule[] }, { ledger, serial, kind, uuid }: Home): Promise<readonly AclRule[]> => serial(async () => {
  const of = { kind, uuid }
  const present = ledger.rules(of)
  if (was !== undefined && canonicalText(was) !== canonicalText(present)) {
    throw RMO.VERSION_CONFLICT({ kind, name: String(subject.observe(local).name), expected: versionOf({ rules: was }), actual: versionOf({ rules: present }) })
  }
  await ledger.setRules(of, rules, was)
  return ledger.rules(of)
})

export function commonVerbs(subject: Subject): Readonly<Record<'dump' | 'patch' | 'acls' | 'account' | 'audit', Verb>> {
  return {
    dump: {
      ...COMMON_VERBS.dump,
      async run(local, _args, _authority, home): Promise<ObjectDump> {
        const { name, uuid, ...attributes } = subject.observe(local)
        const settings = settingsOf(subject, local)
        const secret = subject.settings?.secret?.filter((key) => settings[key] !== undefined) ?? []
        const shown = secret.length === 0 || await home.allows('inspect') ? settings : Object.fromEntries(Object.entries(settings).filter(([key]) => !secret.includes(key)))
        return { kind: subject.kind, uuid: String(uuid), name: String(name), attributes, settings: shown, version: versionOf(settings) }
      },
    },
    patch: {
      ...COMMON_VERBS.patch,
      also: ([change], local) => subject.settings?.also?.(local, change) ?? [],
      run: (local, [change, options], authority, home) => patch(subject, local, change as Settings, (options ?? {}) as { version?: string }, authority, home),
    },
    acls: {
      ...COMMON_VERBS.acls,
      run: (local, [rules, options], _authority, home) => (rules === undefined ? home.ledger.rules(home) : setRules(subject, local, rules as readonly AclRule[], (options ?? {}) as { was?: readonly AclRule[] }, home)),
    },
    account: { ...COMMON_VERBS.account, run: (_local, _args, _authority, { ledger, ...of }) => ledger.account(of) },
    audit: {
      ...COMMON_VERBS.audit,
      run: (_local, [options], _authority, { ledger, ...of }) => ledger.audit(of, (options as { recordsMax?: number } | undefined)?.recordsMax ?? LIMITS.auditAnswerMax),
    },
  }
}
