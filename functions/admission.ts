// What one node refuses to run, whoever asks (`kumoi up --refuse-right ... --refuse-module ... --code-max ...`): judged at the node
// that would run it, before anything of it runs. Shipped functions are judged by their programs and the packages they
// ask for; deployed ones also by their manifest: rights, packages in the bundle, size. Pure.

import { FUNCTIONS } from './errors.ts'

export interface AdmissionRules {
  /** Rights as in a manifest ("vm:delete", "vm:*"): a deployed function that declares one, or a pattern that covers one, is refused. */
  readonly refuseRights?: readonly string[]
  /** npm packages, by name. */
  readonly refuseModules?: readonly string[]
  /** Source text of all functions of one run, or of one bundle. */
  readonly codeBytesMax?: number
}

/** Each throws ADMISSION_REFUSED, which names the rule and the node. */
export interface Admission {
  program(bytes: number): void
  module(name: string): void
  manifest(manifest: { readonly name: string; readonly rights: readonly string[]; readonly packages: readonly { readonly name: string }[]; readonly bytes: number }): void
}

/** Some right is covered by both: "kind:verb", either of which may be "*". */
export function rightsMeet(a: string, b: string): boolean {
  const [kindA = '', verbA = ''] = a.toLowerCase().split(':')
  const [kindB = '', verbB = ''] = b.toLowerCase().split(':')
  return meet(kindA, kindB) && meet(verbA, verbB)
}
const meet = (a: string, b: string): boolean => a === b || a === '*' || b === '*'

/** `node`: its name, for the refusal. */
export function createAdmission(rules: AdmissionRules, node: string): Admission {
  const { refuseRights = [], refuseModules = [], codeBytesMax } = rules
  const refused = (what: string, rule: string): never => { throw FUNCTIONS.ADMISSION_REFUSED({ node, what, rule }) }
  const sized = (what: string, bytes: number): void => { if (codeBytesMax !== undefined && bytes > codeBytesMax) refused(`${what} of ${bytes} bytes`, `a limit of ${codeBytesMax} bytes of code (--code-max)`) }
  const module = (name: string): void => { if (refuseModules.includes(name)) refused(`code that uses the npm package ${name}`, `--refuse-module ${name}`) }
  return {
    program: (bytes) => sized('code', bytes),
    module,
    manifest({ name, rights, packages, bytes }) {
      sized(`function ${name}`, bytes)
      for (const { name: used } of packages) module(used)
      for (const refusedRight of refuseRights) {
        const right = rights.find((declared) => rightsMeet(declared, refusedRight))
        if (right !== undefined) refused(`function ${name}, whose rights have "${right}"`, `--refuse-right ${refusedRight}`)
      }
    },
  }
}
