// Questions to the lab's guest over its serial console, and what only the host's own tools can say of it.
//
//   await ask(vm, 'hostname')            -> "web1"      waits until the guest has booted
//   await must(lab.exec('host1', 'virsh', ...))          throws with the program's own words
//
// A guest that boots loses what is typed too early, and answers what was typed twice twice: each question stands between
// two marks of its own, is asked again until they come, and the answer is what is between them.

import type { DataCenter } from '../../kali/mod.ts'
import type { NewVm, PhysicalMachine, VM, VmEvent } from '../../rmo/mod.ts'
import { until } from './fabric-lab.ts'
import type { TestLab } from './lab.ts'
import type { RunResult } from './processes.ts'

/** A guest under emulation on a machine that has other things to do boots in 3 to 40 s. */
export const GUEST_PATIENCE_MS = 120_000
const ASK_AGAIN_MS = 6_000
const NO_ANSWER = new Set(['RMO_ERR_STATE_INVALID', 'RMO_ERR_BUSY', 'RMO_ERR_DRIVER_FAILED', 'RMO_ERR_DRIVER_TIMEOUT', 'RMO_ERR_DRIVER_UNAVAILABLE'])

let questions = 0

/** Answer of the guest to one line of its command loop (cli/lab/guest-image/init.sh), without its status line. */
export async function ask(vm: VM, line: string, patienceMs = GUEST_PATIENCE_MS): Promise<string> {
  return until(`${vm.name} answers "${line}"`, async () => {
    const no = ++questions
    // The marks are not in what is typed: a terminal that echoes yet does not answer.
    const said = await vm.serial({ input: `\nsh echo "<:"${no}\n${line}\nsh echo ":"${no}">"\n`, until: `:${no}>`, timeoutMs: ASK_AGAIN_MS }).catch((error: unknown) => {
      if (NO_ANSWER.has((error as { readonly code?: string }).code ?? '')) return ''
      throw error
    })
    const [, answer] = new RegExp(`<:${no}\\s+(.*?):${no}>`, 's').exec(said) ?? []
    return answer === undefined ? undefined : { answer: answer.replaceAll('\r', '').replace(/^kumoi-guest: ok\n/, '').replace(/kumoi-guest: \w+( \d+)?\n$/, '').trim() }
  }, patienceMs).then(({ answer }) => answer)
}

/** Seconds since the guest's own kernel started: only a boot makes it less. */
export const guestUptime = async (vm: VM): Promise<number> => Number((await ask(vm, 'cat /proc/uptime')).split(' ')[0])

/** What the guest keeps in a file of its boot disk, which a restart does not lose. */
export const remember = (vm: VM, word: string): Promise<string> => ask(vm, `sh echo ${word} >/state/word; sync`)
export const recall = (vm: VM): Promise<string> => ask(vm, 'cat /state/word')

/** Standard output; throws when the program failed. */
export async function must(run: Promise<RunResult>): Promise<string> {
  const { status, stdout, stderr } = await run
  if (status !== 0) throw new Error(`status ${status}: ${stderr}${stdout}`)
  return stdout
}

/** What virsh on a host says of a domain: "running", "shut off", ...; "absent" when it knows none. */
export async function domainState(lab: TestLab, host: string, name: string): Promise<string> {
  const { status, stdout, stderr } = await lab.exec(host, 'virsh', 'domstate', name)
  if (status === 0) return stdout.trim()
  if (/failed to get domain/.test(stderr)) return 'absent'
  throw new Error(`virsh of ${host}: ${stderr}`)
}

/** Hosts on which its processors may turn, by each libvirtd's own word. Never more than one. */
export async function runningOn(lab: TestLab, name: string): Promise<readonly string[]> {
  const states = await Promise.all(lab.hosts.map(async (host) => ({ host: host.name, state: await domainState(lab, host.name, name) })))
  return states.filter(({ state }) => state === 'running').map(({ host }) => host)
}

/** Process id of the emulator, as its libvirtd wrote it down. */
export const emulatorPid = async (lab: TestLab, host: string, name: string): Promise<number> => Number(await must(lab.exec(host, 'cat', `/run/libvirt/qemu/${name}.pid`)))

/** Process id of a host's libvirtd. */
export const libvirtdPid = async (lab: TestLab, host: string): Promise<number> => Number(await must(lab.exec(host, 'cat', '/run/libvirtd.pid')))

/** Gives the guest a processor for itself whatever else this machine does: its cpuRatio is then what it does. */
export async function prefer(lab: TestLab, host: string, name: string): Promise<void> {
  const pid = await emulatorPid(lab, host, name)
  await must(lab.exec(host, 'sh', '-c', `for thread in /proc/${pid}/task/*; do renice -n -20 -p "\${thread##*/}" >/dev/null; done; echo -20 2>/dev/null >/proc/${pid}/autogroup || true`))
}

/** A machine by its name, through this connection. */
export async function machine(dc: DataCenter, name: string): Promise<PhysicalMachine> {
  const found = (await dc.pms).find((pm) => pm.name === name)
  if (found === undefined) throw new Error(`no machine ${name} is seen`)
  return found
}

/** A running VM of the lab's guest image on a host, preferred by the scheduler; it may still boot. */
export async function guestOn(lab: TestLab, dc: DataCenter, host: string, settings: NewVm & { readonly name: string }): Promise<VM> {
  const { vmm } = await machine(dc, host)
  const vm = await vmm.add(await vmm.createVM({ memoryMiB: 128, vcpus: 1, image: 'guest', context: { hostname: settings.name }, ...settings }), { start: true })
  await prefer(lab, host, settings.name)
  return vm
}

export interface Heard {
  readonly events: readonly VmEvent[]
  /** The first event that is so, of those that came and of those that will. */
  heard(what: string, is: (event: VmEvent) => boolean): Promise<VmEvent>
}

/** Watches a running VM until the test ends. Open when this resolves: a first sample has come. */
export async function listen(t: { teardown(after: () => void | Promise<void>): void }, vm: VM): Promise<Heard> {
  const events: VmEvent[] = []
  const watch = vm.watch({ sampleEveryMs: 1_000 })
  const over = (async () => { for await (const event of watch) events.push(event) })()
  over.catch(() => {})
  t.teardown(async () => { watch.unwatch(); await over.catch(() => {}) })
  const heard: Heard['heard'] = (what, is) => until(`${vm.name}: ${what}`, () => events.find(is), GUEST_PATIENCE_MS)
  await heard('a first sample', ({ type }) => type === 'sampled')
  return { events, heard }
}
