// What `import ... from 'kumoi'` is inside a bundle: the names that the sandbox hands to the program (`$kumoi`, see
// sandbox/prelude/bundle.ts) and the constructors of devices, whose few lines are bundled in. Node's own modules are let
// through to the end of the build, so that one which only unused parts of a package import does no harm; build.ts refuses
// those that are left.

import { builtinModules } from 'node:module'
import { join, sep } from 'node:path'
import type { Plugin } from 'esbuild'

/** Given by the sandbox. */
const HANDED = ['defineFunction', 'range', 'from', 'load'] as const
const DEVICES = ['Bridge', 'Cdrom', 'FileDisk', 'FileDiskAuto', 'mac', 'NetworkInterface', 'VolumeDisk'] as const
export const KUMOI_NAMES: readonly string[] = [...HANDED, ...DEVICES].sort()

const NAMESPACE = 'kumoi'
/** How the two files of our own are called in messages, maps and the script, wherever Kumoi lies. */
export const KUMOI_FILE = 'kumoi'
export const DEVICES_FILE = 'kumoi/devices.ts'

const builtins = new Set(builtinModules)
export const isBuiltin = (specifier: string): boolean => specifier.startsWith('node:') || builtins.has(specifier)

/** Whether Kumoi runs from an installed package, which has JavaScript and declarations in dist/, or from a checkout. */
export const isInstalled = (packageRoot: string): boolean => packageRoot.split(sep).includes('node_modules')

export const devicesFile = (packageRoot: string): string => join(packageRoot, isInstalled(packageRoot) ? 'dist/rmo/devices.js' : 'rmo/devices.ts')

export function kumoiModule(packageRoot: string): Plugin {
  return {
    name: 'kumoi',
    setup(build) {
      build.onResolve({ filter: /^kumoi$/ }, () => ({ path: 'kumoi', namespace: NAMESPACE, sideEffects: false }))
      build.onResolve({ filter: /^kumoi\/devices$/, namespace: NAMESPACE }, () => ({ path: devicesFile(packageRoot) }))
      build.onLoad({ filter: /.*/, namespace: NAMESPACE }, () => ({
        contents: `export const { ${HANDED.join(', ')} } = $kumoi\nexport { ${DEVICES.join(', ')} } from 'kumoi/devices'\n`,
        loader: 'js', resolveDir: packageRoot,
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
