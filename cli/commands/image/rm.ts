// `kumoi image rm NAME`: removes an image that nothing stands on.

import type { Image } from '../../../rmo/mod.ts'
import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { findImage } from '../../objects.ts'
import { withDataCenter } from '../../session.ts'

export const rmCommand = defineCommand({
  name: 'image rm',
  summary: 'Remove an image; refused while disks stand on it',
  operands: '<name>',
  options: {},
  examples: [{ command: 'kumoi image rm debian-11', does: 'when no overlay needs it' }],
  output: 'value',
  run: (shell, [name = '']) => withDataCenter(shell, async (dc) => {
    const image = await findImage<Image>(dc, shell.out, name)
    await image.remove()
    shell.out.result({ name: image.name, uuid: image.uuid }, () => `${image.name} removed`)
    return EXIT.done
  }),
})
