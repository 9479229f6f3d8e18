// What `import ... from 'kumoi'` is inside a bundle: the names that the sandbox hands to the program (`$kumoi`, see
// sandbox/prelude/bundle.ts), and the few lines of the constructors of devices and of schedulers, which are bundled in when
// the program uses them. Node's own modules are let through to the end of the build, so that one which only unused parts of a package import does no harm; build.ts refuses
// those that are left.

import { builtinModules } from 'node:module'
import { join, sep } from 'node:path'
import type { Plugin } from 'esbuild'

/** Given by the sandbox. */
const HANDED = ['defineFunction', 'range', 'from', 'load'] as const
const DEVICES = ['Bridge', 'Cdrom', 'FileDisk', 'FileDiskAuto', 'mac', 'NetworkInterface', 'VolumeDisk'] as const
const SCHEDULERS = ['byRank'] as const
export const KUMOI_NAMES: readonly string[] = [...HANDED, ...DEVICES, ...SCHEDULERS, 'defineScheduler'].sort()

const NAMESPACE = 'kumoi'
/** How the files of our own are called in messages, maps and the script, wherever Kumoi lies. */
export const KUMOI_FILE = 'kumoi'
/** Bundled in by path; they import nothing. Name in the script -> file of a checkout, without its suffix. */
const BUNDLED: Readonly<Record<string, string>> = { 'kumoi/devices.ts': 'rmo/devices', 'kumoi/scheduler.ts': 'kali/placement/user-scheduler' }
export const isKumoiFile = (name: string): boolean => name === KUMOI_FILE || BUNDLED[name] !== undefined

const builtins = new Set(builtinModules)
export const isBuiltin = (specifier: string): boolean => specifier.startsWith('node:') || builtins.has(specifier)

/** Whether Kumoi runs from an installed package, which has JavaScript and declarations in dist/, or from a checkout. */
export const isInstalled = (packageRoot: string): boolean => packageRoot.split(sep).includes('node_modules')

const pathOf = (packageRoot: string, file: string): string => join(packageRoot, isInstalled(packageRoot) ? `dist/${file}.js` : `${file}.ts`)
/** What a bundled file of our own is called; undefined: it is somebody else's. */
export const nameOfOurs = (packageRoot: string, path: string): string | undefined => Object.entries(BUNDLED).find(([, file]) => pathOf(packageRoot, file) === path)?.[0]

const CONTENTS = [
  `export const { ${HANDED.join(', ')} } = $kumoi`,
  `export { ${DEVICES.join(', ')} } from 'kumoi/devices.ts'`,
  `export { ${SCHEDULERS.join(', ')} } from 'kumoi/scheduler.ts'`,
  "import { schedulerDefinition } from 'kumoi/scheduler.ts'",
  'export const defineScheduler = (definition) => defineFunction(schedulerDefinition(definition))',
].join('\n')

export function kumoiModule(packageRoot: string): Plugin {
  return {
    name: 'kumoi',
    setup(build) {
      build.onResolve({ filter: /^kumoi$/ }, () => ({ path: 'kumoi', namespace: NAMESPACE, sideEffects: false }))
      for (const [name, file] of Object.entries(BUNDLED)) build.onResolve({ filter: new RegExp(`^${name}$`), namespace: NAMESPACE }, () => ({ path: pathOf(packageRoot, file), sideEffects: false }))
      build.onLoad({ filter: /.*/, namespace: NAMESPACE }, () => ({
        contents: CONTENTS, loader: 'js', resolveDir: packageRoot,
      }))
      build.onResolve({ filter: /./ }, async ({ path, kind, resolveDir, importer, pluginData }) => {
        if (!isBuiltin(path) || pluginData === NAMESPACE) return undefined
        if (!path.startsWith('node:')) {
          // A package of the same name (events, buffer, ...) is pure JavaScript.
          const found = await build.resolve(path, { kind, resolveDir, importer, pluginData: NAMESPACE })
          if (found.errors.length === 0 && !found.external) return found
        }
        return { path, external: true, sideEffects: false }
      })
    },
  }
}
