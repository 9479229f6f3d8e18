// The house rules as a test: layout, one-way imports, owner files, sizes, limits, error tables against
// ERRORS.md, decision numbers, what the README says of tests and kinds, leftovers.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { test } from 'tap'
import { kindsTable, writtenTable } from './support/kinds-table.ts'

const ROOT = resolve(import.meta.dirname, '..')
const FOLDERS = ['fabric', 'functions', 'rmo', 'kali', 'cli'] as const
const LINES_MAX = 310

/** Files that are longer, each with its reason. */
const LONGER: Readonly<Record<string, string>> = {}

/** One table of errors a folder. */
const TABLES = [['fabric/errors-table.ts', 'FABRIC'], ['functions/errors.ts', 'FUNCTIONS'], ['rmo/errors.ts', 'RMO'], ['kali/errors.ts', 'KALI'], ['cli/errors.ts', 'CLI']] as const

/** npm package -> the files (or folder, ending in /) that may import it. DECISIONS.md says what each is for. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  'hyperswarm': ['fabric/transport/'], 'hyperdht': ['fabric/transport/'], 'protomux': ['fabric/transport/'],
  '@hyperswarm/secret-stream': ['fabric/transport/'], 'compact-encoding': ['fabric/transport/'],
  'noise-handshake': ['fabric/transport/cipher.ts'], 'noise-curve-ed': ['fabric/transport/cipher.ts'], 'sodium-universal': ['fabric/transport/cipher.ts', 'fabric/identity/sealing.ts'],
  'cbor-x': ['fabric/rpc/codec.ts', 'functions/value/'],
  'acorn': ['functions/capture/analysis.ts'], 'isolated-vm': ['functions/sandbox/'], 'piscina': ['functions/sandbox/', 'rmo/driver/libvirt/'],
  'esbuild': ['functions/bundle/'], 'croner': ['functions/trigger/cron.ts'],
  'koffi': ['rmo/driver/libvirt/'], 'fast-xml-parser': ['rmo/driver/libvirt/xml/'], 'lmdb': ['fabric/lmdb.ts'], 'etcd3': ['fabric/store/etcd/'],
  'prom-client': ['functions/observe/metrics.ts'],
  // Entries of bundles: inside a sandbox it is what functions/bundle/kumoi-module.ts hands them.
  'kumoi': ['kali/policies/functions/', 'kali/policies/examples/'],
  '@resvg/resvg-js': ['cli/plot/png.ts'],
  ldapts: ['kali/trust/ldap.ts'],
  'commander': ['cli/command.ts'], 'picocolors': ['cli/render/style.ts'], 'pino': ['fabric/log.ts'],
}

function filesUnder(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts')).map((file) => join(folder, file))
}
const sources = FOLDERS.flatMap(filesUnder)
const textOf = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

/** Code without comments and strings' insides, near enough to look for words. */
const codeOf = (file: string): string => textOf(file).replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1')

function importsOf(file: string): { readonly specifier: string; readonly typeOnly: boolean }[] {
  const found: { specifier: string; typeOnly: boolean }[] = []
  for (const match of codeOf(file).matchAll(/^\s*(?:import|export)\s+(type\s+)?(?:[^'"]*?\sfrom\s+)?['"]([^'"]+)['"]/gm)) found.push({ specifier: match[2]!, typeOnly: match[1] !== undefined })
  for (const match of codeOf(file).matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g)) found.push({ specifier: match[1]!, typeOnly: false })
  return found
}

test('imports run one way, across folders only through the front doors', (t) => {
  const wrong: string[] = []
  for (const file of sources) {
    const room = file.split('/')[0] as typeof FOLDERS[number]
    for (const { specifier } of importsOf(file)) {
      if (!specifier.startsWith('.')) continue
      const target = relative(ROOT, resolve(ROOT, dirname(file), specifier))
      const there = target.split('/')[0] as typeof FOLDERS[number]
      if (!FOLDERS.includes(there)) { wrong.push(`${file} imports ${target}`); continue }
      if (there === room) continue
      if (FOLDERS.indexOf(there) > FOLDERS.indexOf(room)) wrong.push(`${file} imports upwards: ${target}`)
      const door = target === `${there}/mod.ts` || target === 'rmo/libvirt.ts' || target === 'fabric/base.ts' || target === 'fabric/client.ts' || target === 'fabric/limits.ts' || target === 'functions/base.ts' || target === 'rmo/base.ts' || target === 'kali/contract.ts' || target === 'kali/base.ts'
      if (!door) wrong.push(`${file} reaches past the door: ${target}`)
    }
  }
  t.same(wrong, [])
  t.end()
})

test('each npm package has its owner, and no file imports a package without one', (t) => {
  const wrong: string[] = []
  for (const file of sources) {
    for (const { specifier, typeOnly } of importsOf(file)) {
      if (specifier.startsWith('.') || specifier.startsWith('node:')) continue
      // acorn's types describe the tree that capture/ and bundle/ walk; only its owner calls it.
      if (specifier === 'acorn' && typeOnly && /^functions\/(capture|bundle)\//.test(file)) continue
      // The types of a build's options; functions/bundle/esbuild.ts runs it.
      if (specifier === 'esbuild' && typeOnly && file === 'functions/sandbox/bundle.ts') continue
      const name = specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
      const owners = OWNERS[name]
      if (owners === undefined) wrong.push(`${file}: ${name} has no owner`)
      else if (!owners.some((owner) => file === owner || file.startsWith(owner))) wrong.push(`${file}: ${name} belongs to ${owners.join(', ')}`)
    }
  }
  t.same(wrong, [])
  t.end()
})

test('files are one idea long', (t) => {
  const long = sources.map((file) => ({ file, lines: textOf(file).split('\n').length })).filter(({ file, lines }) => lines > LINES_MAX && LONGER[file] === undefined)
  t.same(long, [])
  t.same(Object.keys(LONGER).filter((file) => !existsSync(join(ROOT, file)) || textOf(file).split('\n').length <= LINES_MAX), [], 'exceptions are still needed')
  t.end()
})

test('files open with what they are, and leave nothing behind', (t) => {
  const wrong: string[] = []
  for (const file of sources) {
    if (!file.endsWith('.d.ts') && !/^(#!.*\n)?(\/\/|\/\*)/.test(textOf(file))) wrong.push(`${file}: no header comment`)
    const code = codeOf(file)
    if (/\bas any\b|:\s*any\b|<any>/.test(code)) wrong.push(`${file}: any`)
    if (/@ts-(ignore|expect-error|nocheck)/.test(textOf(file))) wrong.push(`${file}: silences the type check`)
    if (/\b(TODO|FIXME|XXX|HACK)\b/.test(textOf(file))) wrong.push(`${file}: a marker left behind`)
    if (/^export default /m.test(code) && !/^(functions\/sandbox|kali\/policies\/(functions|examples))\//.test(file)) wrong.push(`${file}: default export`)
    if (/^(export )?(declare )?enum /m.test(code)) wrong.push(`${file}: enum`)
    if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.d)?\.ts$/.test(file.split('/').at(-1)!)) wrong.push(`${file}: not kebab-case`)
  }
  t.same(wrong, [])
  t.end()
})

test('only clock.ts reads the wall clock or draws randomness in the pure parts', (t) => {
  const pure = sources.filter((file) => /^fabric\/(membership|identity\/(admission|certificate|ticket))|^functions\/(plan\/(run-core|chunking)|value|capture)|^kali\/policies\//.test(file) && !/\/(driver|store|keys)\.ts$/.test(file))
  const wrong = pure.filter((file) => /\b(Date\.now|performance\.now|Math\.random|new Date\(\))/.test(codeOf(file)))
  t.same(wrong, [])
  t.end()
})

test('every error code stands in a table and in ERRORS.md, every row there in the code, and every row is raised', async (t) => {
  const inCode = new Set<string>()
  const idle: string[] = []
  for (const [file, name] of TABLES) {
    if (!existsSync(join(ROOT, file))) continue
    const table = (await import(join(ROOT, file)) as Record<string, Record<string, { readonly code: string }>>)[name]!
    const others = sources.filter((source) => source !== file).map(codeOf).join('\n')
    for (const [row, { code }] of Object.entries(table)) {
      inCode.add(code)
      if (!new RegExp(`\\b${name}\\.${row}\\b|'${code}'`).test(others)) idle.push(code)
    }
  }
  const inDocs = new Set([...readFileSync(join(ROOT, 'ERRORS.md'), 'utf8').matchAll(/^\| `([A-Z_0-9]+)` \|/gm)].map((match) => match[1]!))
  t.same([...inCode].filter((code) => !inDocs.has(code)), [], 'undocumented codes')
  t.same([...inDocs].filter((code) => !inCode.has(code)), [], 'documented codes that do not exist')
  t.same(idle, [], 'rows that nobody raises')
  const literal = sources.flatMap((file) => [...codeOf(file).matchAll(/'((?:FABRIC|FUNCTIONS|RMO|KALI|CLI)_ERR_[A-Z_0-9]*[A-Z0-9])'/g)].map((match) => ({ file, code: match[1]! })))
  t.same(literal.filter(({ code }) => !inCode.has(code)), [], 'codes of no table')
})

test('each limit is used and stands in one table', async (t) => {
  const tables = readdirSync(join(ROOT, 'fabric/limits'), { encoding: 'utf8' }).filter((file) => file !== 'units.ts').map((file) => `fabric/limits/${file}`)
  const others = sources.filter((source) => !source.startsWith('fabric/limits')).map(codeOf).join('\n')
  const owner = new Map<string, string>()
  const wrong: string[] = []
  for (const file of tables) {
    const rows = Object.values(await import(join(ROOT, file)) as Record<string, Record<string, unknown>>).flatMap((table) => Object.keys(table))
    for (const row of rows) {
      if (owner.has(row)) wrong.push(`${row} stands in ${owner.get(row)} and in ${file}`)
      owner.set(row, file)
      if (!new RegExp(`\\b(LIMITS|limits)\\.${row}\\b|\\b${row}\\b[^\\n]*\\bLIMITS\\b|['"]${row}['"]`).test(others)) wrong.push(`${file}: nobody uses ${row}`)
    }
  }
  t.same(wrong, [])
})

test('tests that the README names exist, and its table of kinds is the registry\'s', (t) => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const wrong: string[] = []
  for (const [, file = '', titles = ''] of readme.matchAll(/`(test\/[\w./-]+\.ts)`((?:[:,] "[^"]+")*)/g)) {
    if (!existsSync(join(ROOT, file))) { wrong.push(`${file} is not there`); continue }
    const text = textOf(file).replaceAll("\\'", "'")
    for (const [, title = ''] of titles.matchAll(/"([^"]+)"/g)) if (!['\'', '`', '"'].some((quote) => text.includes(`test(${quote}${title}${quote}`))) wrong.push(`${file} has no test "${title}"`)
  }
  t.same(wrong, [])
  t.equal(writtenTable(readme), kindsTable(), 'node test/support/kinds-table.ts writes it')
  t.end()
})

test('files that folder READMEs name exist', (t) => {
  const wrong: string[] = []
  for (const folder of [...FOLDERS, 'test']) {
    const readmes = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('README.md'))
    const files = new Set(filesUnder(folder).flatMap((file) => file.split('/').map((_, at, parts) => parts.slice(at).join('/'))))
    for (const readme of readmes) {
      for (const [, name = ''] of readFileSync(join(ROOT, folder, readme), 'utf8').matchAll(/`([\w./-]+\.ts)`/g)) if (!files.has(name.replace(/^(\.\/|\.\.\/)+/, '')) && !existsSync(join(ROOT, name))) wrong.push(`${folder}/${readme}: ${name}`)
    }
  }
  t.same(wrong, [])
  t.end()
})

test('files that ARCHITECTURE.md and HACKING.md name exist', (t) => {
  const everywhere = new Set([...FOLDERS, 'test'].flatMap(filesUnder).flatMap((file) => file.split('/').map((_, at, parts) => parts.slice(at).join('/'))))
  const wrong = ['ARCHITECTURE.md', 'HACKING.md'].flatMap((page) => [...readFileSync(join(ROOT, page), 'utf8').matchAll(/`([\w./-]+\.ts)\b[^`]*`/g)].filter(([, name = '']) => !everywhere.has(name)).map(([, name]) => `${page}: ${name}`))
  t.same(wrong, [])
  t.end()
})

test('cited decisions exist', (t) => {
  const decisions = new Set([...readFileSync(join(ROOT, 'DECISIONS.md'), 'utf8').matchAll(/^## (D-\d{3})/gm)].map((match) => match[1]!))
  const cited = sources.flatMap((file) => [...textOf(file).matchAll(/\bD-\d{3}\b/g)].map((match) => ({ file, number: match[0] })))
  t.same(cited.filter(({ number }) => !decisions.has(number)), [])
  t.end()
})

test('the lock file and the sources name no registry and no place of this machine', (t) => {
  const wrong = [...sources, 'package-lock.json', 'README.md', 'HACKING.md'].filter((file) => existsSync(join(ROOT, file)) && /registry\.npmjs|\/work\/main|"resolved"/.test(textOf(file)))
  t.same(wrong, [])
  t.end()
})
