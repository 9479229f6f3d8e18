// `kumoi vms`, `kumoi images`, ...: all objects of a kind, with the columns that the kind declares.
//
// --watch stays: on a terminal the table is drawn again at each change, otherwise (and with --json) one line a change.

import { LIMITS } from '../../fabric/base.ts'
import type { DataCenter } from '../../kali/contract.ts'
import { defineCommand, text } from '../command.ts'
import type { AnyCommand } from '../command.ts'
import { EXIT } from '../errors.ts'
import { watchObjects } from '../object-watch.ts'
import type { ObjectChange } from '../object-watch.ts'
import { byNameThenHost, findMachine, hostOf, noteDead, warnOfFailures } from '../objects.ts'
import type { Named } from '../objects.ts'
import { columnsOf, referencesTable } from '../render/references.ts'
import { referenceOf } from '../render/shapes.ts'
import { neutralLine } from '../render/text.ts'
import { withDataCenter } from '../session.ts'
import type { Shell } from '../session.ts'

/** `many`: after "No ..."; `about`: what the list is of, where the word alone does not say; `hint`: what makes one. */
interface Words { readonly many: string; readonly about?: string; readonly hint?: string }
const WORDS: Readonly<Record<string, Words>> = {
  VM: { many: 'virtual machines', hint: 'Make one: `kumoi vm create NAME --start`.' },
  Image: { many: 'images', hint: 'Make one of a disk file: `kumoi image import FILE`.' },
  Volume: { many: 'volumes', about: 'volumes: the files of the storage pools' },
  StoragePool: { many: 'storage pools' },
  Snapshot: { many: 'snapshots', hint: 'Take one: `kumoi vm snapshot NAME`.' },
  Network: { many: 'networks', about: 'networks of the hypervisors' },
  Switch: { many: 'switches', about: 'switches: Linux bridges and bridges of Open vSwitch' },
  Port: { many: 'switch ports' },
  VMM: { many: 'hypervisors', about: 'hypervisors (VMMs), one a machine', hint: 'Start a node with --driver libvirt, or with --driver memory for simulated machines.' },
}
const wordsOf = (kind: string): Words => WORDS[kind] ?? { many: kind }

interface Wish { readonly kind: string; readonly host: string | undefined; readonly wide: boolean }

/** Objects of one machine: its kind says so, or it is the machine's hypervisor, or lives on its node. */
async function ofHost<T extends Named>(dc: DataCenter, objects: readonly T[], host: string | undefined): Promise<readonly T[]> {
  if (host === undefined) return objects
  const { name, uuid } = await findMachine(dc, host)
  const home = (await dc.members()).find((member) => member.name === name)?.id
  return objects.filter((object) => {
    const on = hostOf(object)
    return on === '' ? object.name === name || object.uuid === uuid || (home !== undefined && referenceOf(object)?.home === home) : on === name
  })
}

async function printOnce(shell: Shell, dc: DataCenter, { kind, host, wide }: Wish): Promise<number> {
  const { many, hint } = wordsOf(kind)
  const listing = await dc.list(kind)
  const objects = (await ofHost(dc, listing.objects as readonly Named[], host)).toSorted(byNameThenHost)
  const columns = await columnsOf(kind, { wide }) ?? []
  shell.out.result(objects, (layout) => objects.length === 0 ? undefined : referencesTable(objects, columns, layout))
  if (objects.length === 0 && !shell.settings.json) shell.out.note(host === undefined ? `No ${many}.${hint === undefined ? '' : ` ${hint}`}` : `No ${many} on ${host}.`)
  warnOfFailures(shell.out, many, listing)
  await noteDead(dc, shell.out)
  return listing.failures.length > 0 ? EXIT.failed : EXIT.done
}

const lineOf = ({ atMs, host, name, event, state }: ObjectChange): string =>
  `${new Date(atMs).toISOString()} ${neutralLine(`${host === '' ? '' : `${host}/`}${name}`)} ${event}${state === undefined ? '' : ` (${state})`}`

const CLEAR = '\u001b[H\u001b[2J'

/** The table, drawn again at each change, and each LIMITS.objectPollMs for the figures that move by themselves. */
async function watchTable(shell: Shell, dc: DataCenter, wish: Wish): Promise<void> {
  const { world: { clock, stdout }, interrupt: { signal } } = shell
  let wake = (): void => {}
  const changes = (async () => { for await (const _change of watchObjects(dc, wish.kind, { host: undefined, clock, signal })) wake() })()
  const pause = (ms: number): { readonly over: Promise<void>; readonly end: () => void } => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = clock.after(ms, resolve)
    return { over: promise, end: () => { timer.cancel(); resolve() } }
  }
  while (!signal.aborted) {
    stdout.write(CLEAR)
    await printOnce(shell, dc, wish)
    for (const ms of [LIMITS.watchRedrawMs, LIMITS.objectPollMs - LIMITS.watchRedrawMs]) {
      const { over, end } = pause(ms)
      // The first pause is kept whatever comes: a hundred changes at once are one drawing.
      if (ms !== LIMITS.watchRedrawMs) wake = end
      signal.addEventListener('abort', end, { once: true })
      await Promise.race([over, changes])
      signal.removeEventListener('abort', end)
      end()
    }
  }
}

async function watchLines(shell: Shell, dc: DataCenter, wish: Wish): Promise<void> {
  const { world: { clock, stdout }, settings, interrupt: { signal } } = shell
  const host = wish.host === undefined ? undefined : (await findMachine(dc, wish.host)).name
  for await (const change of watchObjects(dc, wish.kind, { host, clock, signal })) stdout.write(`${settings.json ? JSON.stringify(change) : lineOf(change)}\n`)
}

export const listCommand = (name: string, kind: string): AnyCommand => {
  const { many, about = many } = wordsOf(kind)
  return defineCommand({
    name,
    summary: `List ${about}`,
    operands: '',
    options: {
      host: { flags: '--host <machine>', help: 'of this machine only', parse: text },
      wide: { flags: '--wide', help: 'all columns' },
      watch: { flags: '--watch', help: 'stay: the table again at each change; piped or with --json one line a change' },
    },
    examples: [
      { command: `kumoi ${name}`, does: `all ${many}` },
      { command: `kumoi --json ${name}`, does: 'for programs' },
      { command: `kumoi ${name} --watch --json`, does: 'one JSON line a change, until Ctrl-C' },
    ],
    output: 'value',
    run(shell, _operands, { host, wide, watch }) {
      return withDataCenter(shell, async (dc) => {
        const wish = { kind, host, wide: wide === true }
        if (watch !== true) return printOnce(shell, dc, wish)
        await (shell.world.stdout.isTTY === true && !shell.settings.json ? watchTable : watchLines)(shell, dc, wish)
        return shell.interrupt.signal.aborted ? shell.interrupt.status : EXIT.done
      })
    },
  })
}
