// Runs esbuild, which is loaded when first needed. Its service process is stopped when nobody builds any more: an idle
// shell or node carries none, and a build that ends never stops another's.

import type { BuildOptions, BuildResult } from 'esbuild'

let building = 0

/** As esbuild.build(), silent, nothing written; rejects with esbuild's BuildFailure. */
export async function runEsbuild(options: BuildOptions): Promise<BuildResult & { outputFiles: NonNullable<BuildResult['outputFiles']> }> {
  building++
  const esbuild = await import('esbuild')
  try {
    const result = await esbuild.build({ ...options, bundle: true, write: false, logLevel: 'silent', charset: 'utf8', target: 'node24' })
    return { ...result, outputFiles: result.outputFiles ?? [] }
  } finally {
    if (--building === 0) await esbuild.stop()
  }
}
