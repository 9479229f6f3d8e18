// A transport link's 'rpc' and 'bulk' lanes as the channel that RPC runs on ('gossip' is membership's).
// Call it synchronously when the link is announced, before its first frames come.

import { FABRIC } from '../errors-table.ts'
import type { Link } from '../transport/contract.ts'
import type { FrameChannel } from './contract.ts'

const WHY = { reset: 'its process is gone', lost: 'it fell silent' } as const

export function linkChannel(link: Link): FrameChannel {
  return {
    send: (lane, frame) => link.send(lane, frame),
    onFrame(receive) {
      link.onFrame('rpc', (frame) => receive(frame, 'rpc'))
      link.onFrame('bulk', (frame) => receive(frame, 'bulk'))
    },
    onDrain(drained) {
      link.onDrain('rpc', drained)
      link.onDrain('bulk', drained)
    },
    onClose(closed) {
      link.onClose((why) => closed(why === 'closed' ? undefined : FABRIC.LINK_LOST({ peer: link.peer.name, reason: WHY[why] })))
    },
    close: () => link.close(),
  }
}
