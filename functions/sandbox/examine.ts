// What this machine allows around cells, tried without a node: for `kumoi doctor`. Leaves nothing behind.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { WallReport } from '../contract.ts'
import { cellScripts, scriptsDirectory } from './bundle.ts'
import { engineRefusal } from './kernel/engine-gate.ts'
import { raiseWalls } from './kernel/walls.ts'

export async function examineCells(): Promise<readonly WallReport[]> {
  const directory = await mkdtemp(join(tmpdir(), 'kumoi-cells-'))
  try {
    const walls = await raiseWalls({ directory: scriptsDirectory(directory), scripts: await cellScripts(directory) })
    walls.close()
    const refusal = engineRefusal(process.versions.v8)
    const engine: WallReport = refusal === undefined ? { wall: 'engine', state: 'up', how: `V8 ${process.versions.v8}` } : { wall: 'engine', state: 'absent', how: `V8 ${process.versions.v8} may run no user code: ${refusal}` }
    return [engine, ...walls.report]
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
