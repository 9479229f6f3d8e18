// `kumoi trust show`, `kumoi trust ldap set|show|rm|test`: what trust rests on, and the directory that knows users.

import { readFile } from 'node:fs/promises'

import type { LdapSettings } from '../../../kali/contract.ts'
import { defineCommand, text, wordOf } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { table } from '../../render/table.ts'
import { durationText } from '../../render/units.ts'
import { fields } from '../../render/value.ts'
import { withDataCenter } from '../../session.ts'
import { readPassword } from './login.ts'

const LDAP_WORDS = ['set', 'show', 'rm', 'test'] as const

const ldapRows = (ldap: LdapSettings, password: boolean): readonly (readonly [string, string])[] => [
  ['directory', `${ldap.url}${ldap.startTls ? ' (StartTLS)' : ''}`], ['certificate', ldap.ca === undefined ? 'of an authority that the machine trusts' : 'of the authority that was given'],
  ['searches as', ldap.bindDn === undefined ? 'nobody' : `${ldap.bindDn} (${password ? 'password sealed to the nodes' : 'no password'})`],
  ['users', `${ldap.userFilter} below ${ldap.userBase}`], ['groups', ldap.groupBase === undefined ? 'memberOf' : `${ldap.groupFilter ?? 'memberOf'} below ${ldap.groupBase}`],
]

export const showCommand = defineCommand({
  name: 'trust show',
  summary: 'Show what trust rests on: directory, tokens, sessions, revoked nodes',
  operands: '',
  options: {},
  examples: [{ command: 'kumoi trust show', does: 'sessions are those of this node' }],
  output: 'value',
  run: (shell) => withDataCenter(shell, async (dc) => {
    const shown = await dc.trust.show()
    const nowMs = shell.world.clock.wallMs()
    shell.out.result(shown, (layout) => [
      fields([
        ...(shown.ldap === null ? [['directory', 'none (`kumoi trust ldap set` names one)'] as const] : ldapRows(shown.ldap, shown.ldapPassword)),
        ['tokens', `${durationText(shown.tokenLifeMs)}, epoch ${shown.tokenEpoch}`], ['users', String(shown.users)], ['roles', String(shown.roles)],
        ['revoked', shown.revokedNodes.map(({ name }) => name).join(', ') || '-'],
      ], layout.style),
      ...(shown.sessions.length === 0 ? [] : ['', table([{ title: 'session' }, { title: 'door' }, { title: 'since', align: 'right' }, { title: 'token', align: 'right' }],
        shown.sessions.map(({ principal, door, sinceMs, expiresAtMs }) => [principal, door, durationText(nowMs - sinceMs), durationText(Math.max(0, expiresAtMs - nowMs))]), layout)]),
    ].join('\n'))
    return EXIT.done
  }),
})

export const ldapCommand = defineCommand({
  name: 'trust ldap',
  summary: 'Set, show, try or remove the directory that knows users (LDAP over TLS)',
  operands: '<set|show|rm|test>',
  details: 'set replaces all settings but the password of the account that searches, which is sealed to the nodes and shown to nobody. test goes through a login step by step, without a user.',
  options: {
    url: { flags: '--url <url>', help: 'ldaps://host[:port], or ldap://host[:port] with --start-tls', parse: text },
    startTls: { flags: '--start-tls', help: 'begin TLS on the plain port before anything else' },
    ca: { flags: '--ca <file>', help: 'PEM of the authority that signed the server\'s certificate (default: those of the machine)', parse: text },
    bindDn: { flags: '--bind-dn <dn>', help: 'account that searches (default: nobody)', parse: text },
    passwordFile: { flags: '--password-file <file>', help: 'its password: a file, or - for standard input (default: asked for, once)', parse: text },
    userBase: { flags: '--user-base <dn>', help: 'where users are', parse: text },
    userFilter: { flags: '--user-filter <filter>', help: 'how one is found (default: (uid={name}))', parse: text },
    groupBase: { flags: '--group-base <dn>', help: 'where groups are (default: what memberOf says)', parse: text },
    groupFilter: { flags: '--group-filter <filter>', help: 'how a user\'s groups are found: (member={dn})', parse: text },
  },
  examples: [
    { command: 'kumoi trust ldap set --url ldaps://ldap.example.org --user-base ou=people,dc=example,dc=org', does: 'users by uid, groups by memberOf' },
    { command: 'kumoi trust ldap test', does: 'where it fails, if it does' },
  ],
  output: 'value',
  run: async (shell, [word = ''], { url, startTls, ca, bindDn, passwordFile, userBase, userFilter, groupBase, groupFilter }) => {
    const verb = wordOf('trust ldap', LDAP_WORDS, word)
    if (verb === 'set' && (url === undefined || userBase === undefined)) throw CLI.USAGE({ problem: 'kumoi trust ldap set: --url and --user-base are needed', hint: 'See `kumoi trust ldap --help`.' })
    const pem = ca === undefined ? undefined : await readFile(ca, 'utf8').catch((error: unknown) => { throw CLI.USAGE({ problem: `kumoi trust ldap set: ${ca} cannot be read: ${error instanceof Error ? error.message : String(error)}` }) })
    const password = verb === 'set' && bindDn !== undefined ? await readPassword(shell, passwordFile, `Password of ${bindDn}: `) : undefined
    return withDataCenter(shell, async (dc) => {
      const { trust } = dc
      if (verb === 'set') {
        const settings: LdapSettings = {
          url: url ?? '', startTls: startTls === true, userBase: userBase ?? '', userFilter: userFilter ?? '(uid={name})',
          ...(pem === undefined ? {} : { ca: pem }), ...(bindDn === undefined ? {} : { bindDn }), ...(groupBase === undefined ? {} : { groupBase }), ...(groupFilter === undefined ? {} : { groupFilter }),
        }
        const set = await trust.setLdap(settings, password)
        shell.out.result(set, (layout) => fields(ldapRows(set, password !== undefined), layout.style))
        if (!shell.settings.json) shell.out.note('`kumoi trust ldap test` tries it.')
        return EXIT.done
      }
      if (verb === 'rm') {
        await trust.removeLdap()
        shell.out.result({ ldap: null }, () => 'the directory is removed; nobody can log in until one is set')
        return EXIT.done
      }
      if (verb === 'show') {
        const { ldap, ldapPassword } = await trust.show()
        shell.out.result({ ldap, ldapPassword }, (layout) => (ldap === null ? 'no directory is set' : fields(ldapRows(ldap, ldapPassword), layout.style)))
        return EXIT.done
      }
      const steps = await trust.testLdap()
      shell.out.result(steps, (layout) => table([{ title: 'step' }, { title: '' }, { title: 'found' }], steps.map(({ step, ok, says }) => [step, ok ? 'ok' : 'failed', says]), layout))
      return steps.every(({ ok }) => ok) ? EXIT.done : EXIT.failed
    })
  },
})
