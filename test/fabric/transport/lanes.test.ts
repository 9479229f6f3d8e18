import { test } from 'tap'
import { fc } from '../../support/property.ts'
import type { StreamKind } from '../../../fabric/identity/hello.ts'
import { LANES, Lanes } from '../../../fabric/transport/lanes.ts'
import type { Lane } from '../../../fabric/transport/contract.ts'

// Two ends joined by queues, one per wire: what one end sends on a wire arrives in order on that wire, but
// wires overtake each other as the schedule pleases.
interface Item { readonly type: 'frame' | 'move' | 'start'; readonly lane: Lane; readonly number: number; readonly start?: { readonly epoch: number; readonly jump: boolean } }

class Pair {
  readonly sender = new Lanes<number>()
  readonly receiver = new Lanes<number>()
  readonly queues = new Map<number, Item[]>()
  readonly received = new Map<Lane, number[]>(LANES.map((lane) => [lane, []]))
  #next = 0

  add(wire: number, kind: StreamKind): void {
    this.queues.set(wire, [])
    for (const end of [this.sender, this.receiver]) end.add({ wire, kind, preferred: wire % 2 === 0 })
  }

  send(lane: Lane): void {
    const chosen = this.sender.choose(lane)
    if (chosen === undefined) return
    const number = this.#next++
    if (chosen.moveFrom !== undefined) this.queues.get(chosen.moveFrom)?.push({ type: 'move', lane, number })
    if (chosen.start !== undefined) this.queues.get(chosen.wire)?.push({ type: 'start', lane, number, start: chosen.start })
    this.queues.get(chosen.wire)?.push({ type: 'frame', lane, number })
  }

  step(wire: number): void {
    const item = this.queues.get(wire)?.shift()
    if (item === undefined) return
    const got = this.received.get(item.lane) as number[]
    const bytes = (number: number): Uint8Array => Uint8Array.from([number >> 8, number & 255])
    const read = (frame: Uint8Array): number => ((frame[0] as number) << 8) | (frame[1] as number)
    if (item.type === 'move') got.push(...this.receiver.moved(item.lane, wire).map(read))
    else if (item.start !== undefined) got.push(...this.receiver.started(item.lane, wire, item.start).map(read))
    else if (this.receiver.receive(item.lane, wire, bytes(item.number)) === 'deliver') got.push(item.number)
  }
}

test('lanes keep their order and lose nothing while wires come and overtake each other', (t) => {
  const kind = fc.constantFrom<StreamKind>('rpc', 'bulk', 'udx')
  const action = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('send' as const), lane: fc.constantFrom(...LANES) }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('step' as const), wire: fc.nat(7) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('add' as const), kind }) },
  )
  fc.assert(fc.property(kind, fc.array(action, { maxLength: 200 }), (first, actions) => {
    const pair = new Pair()
    pair.add(0, first)
    let sent = 0
    for (const act of actions) {
      if (act.do === 'send') { pair.send(act.lane); sent++ }
      else if (act.do === 'step') pair.step(act.wire)
      else if (pair.queues.size < 8) pair.add(pair.queues.size, act.kind)
    }
    for (let round = 0; round <= sent * 2; round++) for (const wire of pair.queues.keys()) pair.step(wire)
    const lists = [...pair.received.values()]
    return lists.every((list) => list.every((number, index) => index === 0 || (list[index - 1] as number) < number))
      && lists.reduce((sum, list) => sum + list.length, 0) === sent
  }), { numRuns: 400 })
  t.end()
})

test('a wire that dies ends the link if calls may be lost, and gossip goes on otherwise', (t) => {
  const pair = new Pair()
  pair.add(0, 'rpc')
  pair.add(2, 'udx')
  pair.send('gossip')
  pair.step(2)
  t.equal(pair.sender.remove(2).verdict, 'goes-on')
  pair.queues.delete(2)
  pair.send('gossip')
  t.same(pair.queues.get(0)?.map((item) => item.type), ['start', 'frame'])
  pair.step(0)
  pair.step(0)
  t.same(pair.received.get('gossip'), [0, 1], 'though the receiver has not heard of the death')
  pair.send('rpc')
  t.equal(pair.sender.remove(0).verdict, 'ends')
  t.end()
})

test('of two wires of a kind, the unpreferred one is spare once it carries nothing', (t) => {
  const lanes = new Lanes<number>()
  lanes.add({ wire: 1, kind: 'rpc', preferred: false })
  lanes.choose('rpc')
  lanes.add({ wire: 2, kind: 'rpc', preferred: true })
  t.notOk(lanes.spare(1))
  t.same(lanes.choose('rpc'), { wire: 2, moveFrom: 1, start: { epoch: 1, jump: false } })
  t.ok(lanes.spare(1))
  t.notOk(lanes.spare(2))
  t.end()
})
