// `kumoi image verify NAME`: reads it again and compares the checksum.

import type { Image } from '../../../rmo/mod.ts'
import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { findImage } from '../../objects.ts'
import { withDataCenter } from '../../session.ts'

export const verifyCommand = defineCommand({
  name: 'image verify',
  summary: 'Read an image again and compare its checksum; exit status 1 when it differs',
  operands: '<name>',
  options: {},
  examples: [{ command: 'kumoi image verify debian-12', does: 'intact or not' }],
  output: 'value',
  run: (shell, [name = '']) => withDataCenter(shell, async (dc) => {
    const image = await findImage<Image>(dc, shell.out, name)
    shell.out.progress.show(`reading ${image.name}`, undefined)
    const found = await image.verify()
    shell.out.progress.stop()
    shell.out.result({ name: image.name, ...found }, () => found.intact ? `${image.name} is intact` : `${image.name} has CHANGED: ${found.checksum} instead of ${image.checksum}`)
    return found.intact ? EXIT.done : EXIT.failed
  }),
})
