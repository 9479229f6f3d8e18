// `kumoi top`: frames of any size, keys, one look without a terminal, and a session on one.

import { fc } from '../../support/property.ts'
import t from 'tap'
import { SimClock } from '../../../fabric/mod.ts'
import type { Interrupt } from '../../../cli/interrupt.ts'
import { PLAIN_STYLE } from '../../../cli/render/style.ts'
import { FIRST_LOOK, SECTIONS } from '../../../cli/top/contract.ts'
import type { Fleet, Look } from '../../../cli/top/contract.ts'
import { frame } from '../../../cli/top/frame.ts'
import { keysIn, press } from '../../../cli/top/keys.ts'
import { width as cells } from '../../../cli/render/text.ts'
import { decision, fakeCloud, webPool } from '../../support/fake-pools.ts'
import { shellRun } from '../../support/shell-run.ts'

const fleet = (vms: number, machines = 3): Fleet => ({
  atMs: Date.UTC(2026, 0, 1, 12), mode: 'armed', silent: [],
  pools: [{ name: 'web', machines, vms, inFlight: 1, bookedVcpus: 3, vcpus: 12, bookedMemoryMiB: 512, memoryMiB: 8_192, scheduler: 'rank', groups: 'shop 2+1/4' }],
  machines: Array.from({ length: machines }, (_, i) => ({ name: `host${i}`, pool: 'web', state: i === 2 ? 'dead' : 'in-service', cpuRatio: i / 10, memoryUsedMiB: 10, memoryMiB: 100, vms: 1, lease: 'held 1s' })),
  vms: Array.from({ length: vms }, (_, i) => ({ name: `vm${String(i).padStart(4, '0')}`, pool: 'web', machine: 'host0', state: 'running', cpuRatio: (vms - i) / vms, vcpus: 1, memoryMiB: 128, keptBy: 'ha' })),
  decisions: [{ atMs: Date.UTC(2026, 0, 1, 11, 59), pool: 'web', by: 'kali-ha', what: 'relocate', about: 'vm1', because: 'the lease of host2 is gone' }],
})
const plain = { style: PLAIN_STYLE }

t.test('a frame fits its screen, and says what there is', async (t) => {
  const { lines, rows, page } = frame(fleet(200), FIRST_LOOK, { width: 120, height: 40, ...plain })
  t.equal(lines.length, 40)
  t.match(lines[0], /^kumoi top  12:00:00   3 machines \(1 dead\)   200 VMs, 200 running   cpu \[##\.+\] 10%/)
  t.equal(rows, 200)
  t.match(lines.join('\n'), `> VMS 1-${page} of 200`)
  t.match(lines.join('\n'), /1m +web +kali-ha +relocate +vm1 +the lease of host2 is gone/)
  t.match(lines.at(-1), /^q quit/)
  t.doesNotThrow(() => fc.assert(fc.property(fc.nat(60), fc.nat(20), fc.integer({ min: 20, max: 250 }), fc.integer({ min: 1, max: 80 }), fc.constantFrom(...SECTIONS), fc.nat(500), (vms, machines, width, height, focus, scroll) => {
    const drawn = frame(fleet(vms, machines), { ...FIRST_LOOK, focus, scroll }, { width, height, ...plain })
    return drawn.lines.length === height && drawn.lines.every((line) => cells(line) <= width)
  })))
})

t.test('without a height every row is there', async (t) => {
  const { lines } = frame(fleet(500), FIRST_LOOK, { width: undefined, height: undefined, ...plain })
  t.equal(lines.filter((line) => line.startsWith('vm0')).length, 500)
  t.notMatch(lines.join('\n'), 'q quit')
})

t.test('the focused section scrolls to its end, and no further', async (t) => {
  let look: Look = FIRST_LOOK
  const screen = { width: 100, height: 30, ...plain }
  const key = (typed: string): string => {
    for (const one of keysIn(typed)) {
      const next = press(look, one, frame(fleet(100), look, screen))
      if (next === 'quit') return 'quit'
      look = next
    }
    return frame(fleet(100), look, screen).lines.join('\n')
  }
  t.match(key('\u001b[B\u001b[B'), /> VMS 3-/)
  t.match(key('G\u001b[B'), /> VMS \d+-100 of 100/)
  t.match(key('g'), /> VMS 1-/)
  t.match(key('\u001b[6~\u001b[5~'), /> VMS 1-/)
  t.match(key('n'), /vm0000/, 'sorted by name')
  t.match(key('\t'), /> MACHINES/)
  t.match(key('\u001b[Z\u001b[Z'), /> DECISIONS/)
  t.match(key('xyz\u001b[99;5R'), /> DECISIONS/, 'other keys change nothing')
  t.equal(key('q'), 'quit')
  t.equal(press(look, '\u0003', { rows: 0, page: 0 }), 'quit')
})

t.test('one look without a terminal', async (t) => {
  const { status, stdout } = await shellRun(['top'], { fake: fakeCloud({ snapshots: [webPool()], decisions: [decision()] }) })
  t.equal(status, 0)
  t.match(stdout, /^kumoi top .*\n\nPOOLS\npool +machines.*\nweb +2 +3 +1 .*shop 1\+1\/4\n\nMACHINES\n.*\n\nVMS\n.*shop-1 +web +alpha +ready +90%.*\n\nDECISIONS\n.*relocate +web1/s)
  t.notMatch(stdout, '\u001b')
  const json = JSON.parse((await shellRun(['--json', 'top'], { fake: fakeCloud({ snapshots: [webPool()] }) })).stdout) as Fleet
  t.match(json, { pools: [{ name: 'web' }], mode: 'armed' })
  t.match(json.machines.map(({ name, state }) => `${name} ${state}`), ['alpha in-service', 'beta dead', 'gamma alive'])
  const bare = await shellRun(['top', '--once'], { fake: fakeCloud() })
  t.match(bare.stdout, /MACHINES\n.*\nalpha +alive +10% +512 MiB of 1\.0 GiB/, 'machines of a fabric without pools')
})

t.test('on a terminal: the other screen, drawn again, and given back', async (t) => {
  const clock = new SimClock()
  let interrupt: Interrupt | undefined
  let frames = 0
  const { status, stdout } = await shellRun(['top', '--no-color'], {
    fake: fakeCloud({ snapshots: [webPool()] }), terminal: true, clock, onInterrupt: (given) => { interrupt = given },
    onWrite: (text) => {
      if (!text.includes('kumoi top')) return
      frames++
      if (frames < 3) setImmediate(() => { clock.advance(1_000) })
      else interrupt?.press()
    },
  })
  t.equal(status, 130)
  t.match(stdout, /^\u001b\[\?1049h\u001b\[\?25l\u001b\[Hkumoi top/)
  t.match(stdout, /\u001b\[\?25h\u001b\[\?1049l$/)
  t.equal(frames, 3)
})
