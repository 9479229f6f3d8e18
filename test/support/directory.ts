// A directory to try logins with (`npm run directory`): a slapd on this machine with the users alice and bob, gone with Ctrl-C.
// Prints how Kumoi is told of it.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ALICE_PASSWORD, READER_PASSWORD, slapdAbsent, startSlapd } from './slapd.ts'

if (slapdAbsent !== false) {
  console.error(`${slapdAbsent}; as root on Debian \`sh test/setup/install.sh\` installs it`)
  process.exit(1)
}
const endings: (() => unknown)[] = []
const slapd = await startSlapd({ teardown: (end: () => unknown) => { endings.push(end) } })
const files = mkdtempSync(join(tmpdir(), 'kumoi-directory-'))
const [ca, reader, alice] = ['ca.pem', 'reader', 'alice'].map((name) => join(files, name)) as [string, string, string]
writeFileSync(ca, slapd.ca)
writeFileSync(reader, READER_PASSWORD, { mode: 0o600 })
writeFileSync(alice, ALICE_PASSWORD, { mode: 0o600 })
const { bindDn, userBase } = slapd.settings
console.log(`A directory at ${slapd.ldaps}, until Ctrl-C. Tell Kumoi of it, and log in:

  kumoi trust ldap set --url ${slapd.ldaps} --ca ${ca} --bind-dn ${bindDn} --password-file ${reader} --user-base ${userBase}
  kumoi login alice --password-file ${alice}        # the password is "${ALICE_PASSWORD}"
`)
process.once('SIGINT', () => { void end() })
process.once('SIGTERM', () => { void end() })
async function end(): Promise<void> {
  for (const ending of endings.reverse()) await ending()
  rmSync(files, { recursive: true, force: true })
  process.exit(0)
}
