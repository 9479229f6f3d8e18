// The lab as the commands of the shell see it: the options that say which lab, and what the lab uses of the shell.

import { join } from 'node:path'

import { text } from '../command.ts'
import type { Shell } from '../session.ts'
import type { LabRecord } from './contract.ts'
import type { LabWorld } from './lab.ts'
import { imageCache, labDirectory, requireRecord } from './record.ts'

const DEFAULT_NAME = 'lab'

export const LAB_OPTIONS = {
  name: { flags: '--name <name>', help: 'name of the lab (default: lab)', parse: text },
  dir: { flags: '--dir <dir>', help: 'its directory (default: ~/.local/state/kumoi/labs/NAME)', parse: text },
} as const

export interface LabChoice { readonly name?: string; readonly dir?: string }

export const labName = ({ name }: LabChoice): string => name ?? DEFAULT_NAME

/** The choice as it would be typed again. */
export const flagsOf = ({ name, dir }: LabChoice): string => `${name === undefined ? '' : ` --name ${name}`}${dir === undefined ? '' : ` --dir ${dir}`}`

export function labWorld({ world, interrupt }: Shell, choice: LabChoice): LabWorld {
  const scripts = join(world.packageRoot, 'cli', 'lab')
  return {
    directory: labDirectory(choice.dir, labName(choice), world.env), holderScript: join(scripts, 'holder.sh'), recipe: join(scripts, 'guest-image'),
    imageCache: imageCache(world.env), clock: world.clock, signal: interrupt.signal, launcher: world.launcher, env: world.env, kali: () => world.kali(),
  }
}

export async function openLab(shell: Shell, choice: LabChoice): Promise<{ readonly world: LabWorld; readonly record: LabRecord }> {
  const world = labWorld(shell, choice)
  return { world, record: await requireRecord(world.directory, flagsOf(choice)) }
}
