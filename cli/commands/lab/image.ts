// `kumoi lab image`: builds the guest image of the labs, or says where it is.

import { defineCommand } from '../../command.ts'
import { EXIT } from '../../errors.ts'
import { guestImage } from '../../lab/guest-image/build.ts'
import { labWorld } from '../../lab/shell.ts'

export const imageCommand = defineCommand({
  name: 'lab image',
  summary: 'Build the guest image: Debian\'s cloud kernel and busybox, bootable, with NoCloud',
  operands: '',
  details: 'Needs apt-get, dpkg-deb and qemu-img, no root; installs nothing. Kept until the packages or the recipe change.',
  options: {},
  examples: [{ command: 'kumoi lab image', does: 'path of guest.qcow2' }],
  output: 'value',
  async run(shell) {
    const { imageCache: cache, recipe } = labWorld(shell, {})
    try {
      const image = await guestImage({ cache, recipe, signal: shell.interrupt.signal, onStep: (step) => shell.out.progress.show(step, undefined) })
      shell.out.progress.stop()
      shell.out.result(image, () => image.path)
      return EXIT.done
    } finally {
      shell.out.progress.stop()
    }
  },
})
