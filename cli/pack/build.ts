// `prepack`: JavaScript for an installed package, since Node refuses to strip types under node_modules.
//
//   {fabric,functions,rmo,kali,cli}/**/*.ts  --strip types, .ts -> .js-->  dist/**/*.js
//
// Lines and columns stay those of the source (types become blanks), so stacks need no maps. Relative
// names in quotes that end in .ts are rewritten wherever they stand: imports, import(), and
// new URL('./worker.ts', import.meta.url).

import { spawnSync } from 'node:child_process'
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const FOLDERS = ['fabric', 'functions', 'rmo', 'kali', 'cli'] as const
const RELATIVE_TS = /(['"`])(\.{1,2}\/[^'"`\n]*?)\.ts\1/g

/** Source text of one file -> what runs. */
export const emit = (source: string): string => rewrite(stripTypeScriptTypes(source))

const rewrite = (text: string): string => text.replace(RELATIVE_TS, '$1$2.js$1')

async function sources(root: string, folder: string): Promise<string[]> {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true })
  return entries.filter((e) => e.isFile() && e.name.endsWith('.ts')).map((e) => join(e.parentPath, e.name))
}

/** Everything, into an emptied `target`; answers the number of files. */
export async function build(root: string, target: string): Promise<number> {
  await rm(target, { recursive: true, force: true })
  const files = (await Promise.all(FOLDERS.map((folder) => sources(root, folder)))).flat()
  for (const file of files) {
    const to = join(target, file.slice(root.length)).replace(/\.ts$/, '.js')
    await mkdir(dirname(to), { recursive: true })
    await writeFile(to, emit(await readFile(file, 'utf8')))
  }
  return files.length
}

/** Declarations for editors; without the compiler the package works and only has no types. */
async function declarations(root: string, target: string): Promise<void> {
  const compiler = join(root, 'node_modules', '.bin', 'tsc')
  spawnSync(compiler, ['-p', root, '--noEmit', 'false', '--declaration', '--emitDeclarationOnly', '--outDir', target], { cwd: root, stdio: 'inherit' })
  await rm(join(target, 'test'), { recursive: true, force: true })
  for (const entry of await readdir(target, { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith('.d.ts')) continue
    const file = join(entry.parentPath, entry.name)
    await writeFile(file, rewrite(await readFile(file, 'utf8')))
  }
}

if (import.meta.main) {
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
  const target = join(root, 'dist')
  const count = await build(root, target)
  await declarations(root, target)
  process.stdout.write(`${count} files in dist/\n`)
}
