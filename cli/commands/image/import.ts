// `kumoi image import FILE`: a file of a machine becomes an immutable image of one of its storage pools.

import { basename, resolve } from 'node:path'

import type { StoragePool } from '../../../rmo/mod.ts'
import { defineCommand, text } from '../../command.ts'
import { CLI, EXIT } from '../../errors.ts'
import { following } from '../../follow.ts'
import { byNameThenHost, fewOf, findMachine, fullName, pick, warnOfFailures } from '../../objects.ts'
import { withDataCenter } from '../../session.ts'

export const importCommand = defineCommand({
  name: 'image import',
  summary: 'Make an image of a disk file that lies on a machine',
  operands: '<file>',
  options: {
    host: { flags: '--host <machine>', help: 'the machine (default: the only one with storage pools)', parse: text },
    pool: { flags: '--pool <name>', help: 'storage pool that keeps it (default: the only one)', parse: text },
    name: { flags: '--name <name>', help: 'name of the image (default: the file\'s, without its ending)', parse: text },
    description: { flags: '--description <text>', help: 'for people', parse: text },
  },
  examples: [{ command: 'kumoi image import /srv/debian-12.qcow2 --host host1 --pool images', does: 'checksummed, copied, read-only' }],
  output: 'value',
  run: (shell, [file = ''], { host, pool, name, description }) => withDataCenter(shell, async (dc) => {
    const listing = await dc.list('StoragePool')
    warnOfFailures(shell.out, 'storage pools', listing)
    const pools = (listing.objects as readonly StoragePool[]).filter((each) => host === undefined || each.host === host)
    const [only] = pools
    if (only === undefined) {
      if (host !== undefined) await findMachine(dc, host)
      throw CLI.USAGE({ problem: `kumoi image import: there is no storage pool${host === undefined ? '' : ` on ${host}`}`, hint: "Make one: kumoi 'pms.at(0).vmm.createPool({ name: \"images\", path: \"/srv/images\" })'" })
    }
    if (pool === undefined && pools.length !== 1) throw CLI.USAGE({ problem: 'kumoi image import: which storage pool?', hint: `Name one with --pool (and --host): ${fewOf(pools.toSorted(byNameThenHost).map(fullName))}.` })
    const chosen = pool === undefined && only !== undefined ? only : pick('storage pool', pool ?? '', pools)
    const called = name ?? basename(file).replace(/\.(qcow2|raw|img)$/, '')
    const image = await following(shell, {
      what: `importing ${called}`, watch: () => chosen.watch(),
      progress: (event) => event.type === 'copying' && event.name === called ? { what: `importing ${called}`, ratio: event.ratio } : undefined,
      work: () => chosen.importImage({ name: called, path: resolve(file), ...(description === undefined ? {} : { description }) }),
    })
    shell.out.result(image, () => `${image.name} imported into ${fullName(chosen)} (SHA-256 ${image.checksum})`)
    return EXIT.done
  }),
})
