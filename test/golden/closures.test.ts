// Ships every golden case to a fresh realm: capture -> bytes -> the bundled value codec and linker evaluated in
// a vm context that has no Node -> calls -> encoded results -> compared here. The way of a sandbox, less the walls.

import { buildSync } from 'esbuild'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import vm from 'node:vm'
import t from 'tap'
import { capture } from '../../functions/capture/mod.ts'
import { decodeValue, encodeArray } from '../../functions/value/mod.ts'
import { cases as functions } from './closures/010-functions.ts'
import { cases as scopes } from './closures/020-scopes.ts'
import { cases as classes } from './closures/030-classes.ts'
import { cases as values } from './closures/040-values.ts'
import { cases as refusals } from './closures/050-refusals.ts'
import type { GoldenCase } from './closures/case.ts'

type Run = (code: string, environment: Uint8Array, calls: Uint8Array) => Promise<Uint8Array>

const bundle = buildSync({
  entryPoints: [join(import.meta.dirname, '../../functions/value/mod.ts')], bundle: true, format: 'iife', globalName: 'kumoi', platform: 'neutral', write: false,
}).outputFiles[0]?.text ?? ''

/** Runs inside the context; args come and results go as bytes. */
const driver = `async (code, environment, calls) => {
  const fn = kumoi.linkProgram(code, new Uint8Array(environment))
  const results = []
  for (const args of kumoi.decodeValue(new Uint8Array(calls))) results.push(await fn(...args))
  return kumoi.encodeArray(results)
}`
const script = new vm.Script(`${bundle}\n;(${driver})`)
const freshRealm = (): Run => script.runInContext(vm.createContext({})) as Run

async function ship(golden: GoldenCase): Promise<unknown> {
  const { program, environment } = capture(golden.make(), golden.options)
  const run = freshRealm()
  return decodeValue(new Uint8Array(await run(new TextDecoder().decode(program.code), environment.bytes, encodeArray(golden.calls ?? [[]]))))
}

for (const [file, cases] of Object.entries({ functions, scopes, classes, values, refusals })) {
  t.test(file, async (t) => {
    for (const golden of cases) {
      if (golden.error !== undefined) {
        let thrown: (Error & { code?: string }) | undefined
        try { capture(golden.make(), golden.options) } catch (error) { thrown = error as Error }
        t.equal(thrown?.code ?? thrown?.stack ?? 'not refused', `FUNCTIONS_ERR_${golden.error}`, golden.name)
        if (golden.path !== undefined) t.ok(thrown?.message.startsWith(golden.path), `${golden.name}: path in "${thrown?.message}"`)
        continue
      }
      try {
        const got = await ship(golden)
        const want = golden.want ?? await Promise.all((golden.calls ?? [[]]).map(async (args) => await golden.make()(...args as never[])))
        t.ok(isDeepStrictEqual(got, want), golden.name, { got, want })
      } catch (error) {
        t.fail(`${golden.name}: ${(error as Error).stack}`)
      }
    }
  })
}

t.test('there are at least 80 cases', async (t) => {
  t.ok(functions.length + scopes.length + classes.length + values.length + refusals.length >= 80)
})
