// `kumoi up`: starts a node in this process, or, with --detach, in one of its own (cli/detach.ts).

import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import { LIMITS } from '../../fabric/base.ts'
import type { HypervisorOptions, NodeInfo, StartNodeOptions } from '../../kali/contract.ts'
import { choice, defineCommand, integer, repeated, text } from '../command.ts'
import { readyReporter, startDetached } from '../detach.ts'
import { CLI, EXIT } from '../errors.ts'
import { fields } from '../render/value.ts'
import type { Shell } from '../session.ts'
import { dataDirectory, readAll } from '../world.ts'

const DRIVERS = ['auto', 'libvirt', 'memory', 'none'] as const
const driverName = choice(...DRIVERS)
const switchesName = choice('auto', 'none')
const count = integer(1, LIMITS.fleetHostsMax)
const KIBIBYTE = 1_024
const RIGHT = /^([a-z][a-z0-9-]*|\*):([a-z]+|\*)$/i
const rightPatterns = (value: string, before?: readonly string[]): readonly string[] => {
  if (!RIGHT.test(value)) throw CLI.USAGE({ problem: `kumoi up: ${JSON.stringify(value)} is no right`, hint: 'A right is kind:verb, either of which may be *: vm:delete, vm:*.' })
  return repeated(value, before)
}

export const upCommand = defineCommand({
  name: 'up',
  summary: 'Start a node: found a fabric, join one, or come back to one',
  operands: '',
  details: 'In the foreground until Ctrl-C, which leaves the fabric cleanly; --detach puts it in the background once it is ready.',
  options: {
    name: { flags: '--name <name>', help: 'name of this node (default: the host name)', parse: text },
    listen: { flags: '--listen <address>', help: 'host or host:port (default: first non-internal address, any port)', parse: text },
    join: { flags: '--join <ticket>', help: 'ticket of a fabric; @FILE reads it from a file, - from standard input', parse: text },
    http: { flags: '--http <address>', help: 'HTTP door for functions and metrics: port, or host:port (default host: this machine only)', parse: text },
    httpCert: { flags: '--http-cert <file>', help: 'certificate of the HTTP door with its chain, PEM: it then speaks TLS', parse: text },
    httpKey: { flags: '--http-key <file>', help: 'key of that certificate; both are read again when they change', parse: text },
    httpInsecure: { flags: '--http-insecure', help: 'let the HTTP door listen on the network without TLS' },
    store: { flags: '--store <url>', help: 'global store of a new fabric: etcd://host:port,... (default: kept by this node)', parse: text },
    driver: { flags: '--driver <driver>', help: 'virtual machines: auto, libvirt, memory (simulated), none (default: KUMOI_DRIVER, else auto)', parse: driverName },
    libvirtUri: { flags: '--libvirt-uri <uri>', help: 'hypervisor of this machine (default: qemu:///system)', parse: text },
    migrationUri: { flags: '--migration-uri <uri>', help: 'libvirt URI under which other hosts reach this one', parse: text },
    switches: { flags: '--switches <which>', help: 'auto or none (default: auto)', parse: switchesName },
    ovsSocket: { flags: '--ovs-socket <path>', help: 'database of Open vSwitch', parse: text },
    hosts: { flags: '--hosts <n>', help: 'memory driver: simulate a fleet of n machines on this node', parse: count },
    vmsPerHost: { flags: '--vms-per-host <n>', help: 'fleet: VMs that run on each from the start', parse: count },
    usersSocket: { flags: '--users-socket <path>', help: 'a socket for other users of this machine, who log in there', parse: text },
    refuseRight: { flags: '--refuse-right <right>', help: 'run no deployed function with this right, such as vm:delete; repeatable', parse: rightPatterns },
    refuseModule: { flags: '--refuse-module <package>', help: 'run nothing that uses this npm package; repeatable', parse: repeated },
    codeMax: { flags: '--code-max <KiB>', help: 'run no more code than this at once, or in one function', parse: integer(1, LIMITS.codeBytesMax / KIBIBYTE) },
    detach: { flags: '--detach', help: 'return when the node is ready' },
  },
  examples: [
    { command: 'kumoi up --name alpha --listen 10.0.0.1 --detach', does: 'the first node makes the fabric' },
    { command: 'kumoi up --name beta --join "$(cat ticket)" --detach', does: 'another machine joins' },
  ],
  output: 'value',
  async run(shell, _operands, { name, listen, join, http, httpCert, httpKey, httpInsecure, usersSocket, refuseRight: refuseRights, refuseModule: refuseModules, codeMax, detach, store, driver, libvirtUri, migrationUri, switches, ovsSocket, hosts, vmsPerHost }) {
    const wish = {
      ...(name === undefined ? {} : { name }),
      ...(listen === undefined ? {} : { listen }),
      ...(join === undefined ? {} : { join: await ticketText(join, shell) }),
      ...(http === undefined ? {} : { http }),
      ...httpWish({ http, cert: httpCert, key: httpKey, plain: httpInsecure }),
      ...(store === undefined ? {} : { store }),
      ...(usersSocket === undefined ? {} : { usersSocket: resolve(usersSocket) }),
      ...(refuseRights === undefined && refuseModules === undefined && codeMax === undefined ? {} : { admission: {
        ...(refuseRights === undefined ? {} : { refuseRights }), ...(refuseModules === undefined ? {} : { refuseModules }), ...(codeMax === undefined ? {} : { codeBytesMax: codeMax * KIBIBYTE }),
      } }),
      hypervisor: hypervisorWish({ driver, libvirtUri, migrationUri, switches, ovsSocket, hosts, vmsPerHost }, join, shell),
    }
    if (detach === true) {
      const info = await shell.interrupt.race(startDetached(shell, wish))
      printReady(shell, info, wish)
      return EXIT.done
    }
    const report = readyReporter(shell.world.env)
    try {
      const { startNode } = await shell.world.kali()
      const node = await shell.interrupt.race(startNode({
        data: shell.settings.data, ...wish,
        ...(shell.settings.quiet ? {} : { onLog: (line: string) => shell.out.note(line) }),
      }))
      if (report.active) report.ready(node.info)
      else printReady(shell, node.info, wish)
      await Promise.race([node.stopped, interrupted(shell.interrupt.signal)])
      // Bounded by the interruption's grace; a second Ctrl-C does not wait for it.
      await node.stop()
      return shell.interrupt.signal.aborted && shell.interrupt.status === EXIT.interrupted ? EXIT.interrupted : EXIT.done
    } catch (error) {
      report.failed(error)
      throw error
    }
  },
})

const interrupted = (signal: AbortSignal): Promise<void> => new Promise((done) => {
  if (signal.aborted) done()
  else signal.addEventListener('abort', () => done(), { once: true })
})

type HypervisorWish = { readonly [K in keyof HypervisorOptions]: HypervisorOptions[K] | undefined }

function hypervisorWish(wish: Partial<HypervisorWish>, join: string | undefined, shell: Shell): HypervisorOptions {
  const usage = (problem: string, hint: string): never => { throw CLI.USAGE({ problem: `kumoi up: ${problem}`, hint }) }
  const preset = shell.world.env['KUMOI_DRIVER'] ?? 'auto'
  const driver = wish.driver ?? DRIVERS.find((name) => name === preset) ?? usage(`KUMOI_DRIVER is ${JSON.stringify(preset)}`, `It is one of ${DRIVERS.join(', ')}.`)
  if (wish.hosts !== undefined && wish.hosts > 1) {
    if (driver !== 'memory') usage('--hosts needs --driver memory', 'Real machines run one node each.')
    if (join !== undefined) usage('--hosts does not go with --join', 'A simulated fleet is a fabric of its own.')
  }
  if (wish.vmsPerHost !== undefined && driver !== 'memory') usage('--vms-per-host needs --driver memory', 'Real VMs are made with `kumoi vm create`.')
  const given = Object.fromEntries(Object.entries(wish).filter(([, value]) => value !== undefined))
  return { ...given, driver }
}

function httpWish({ http, cert, key, plain }: { readonly http: string | undefined; readonly cert: string | undefined; readonly key: string | undefined; readonly plain: boolean | undefined }): Pick<StartNodeOptions, 'httpTls' | 'httpPlain'> {
  const usage = (problem: string, hint: string): never => { throw CLI.USAGE({ problem: `kumoi up: ${problem}`, hint }) }
  if (http === undefined && (cert !== undefined || key !== undefined || plain === true)) usage('--http-cert, --http-key and --http-insecure need --http', 'Say where the HTTP door is to listen: --http HOST:PORT.')
  if (cert === undefined && key === undefined) return plain === true ? { httpPlain: true } : {}
  if (cert === undefined || key === undefined) return usage('--http-cert and --http-key go together', 'Give the files of the certificate and of its key.')
  return { httpTls: { cert: resolve(cert), key: resolve(key) } }
}

async function ticketText(given: string, shell: Shell): Promise<string> {
  if (given === '-') return (await readAll(shell.world.stdin)).trim()
  return given.startsWith('@') ? (await readFile(given.slice(1), 'utf8')).trim() : given.trim()
}

const ORIGINS: Readonly<Record<NodeInfo['origin'], string>> = { founded: 'new, founded by this node', joined: 'joined', returned: 'returned to it' }

/** Where programs knock, and with what. */
const doorText = (url: string, data: string): string => `${url}, its token in ${join(data, 'http-token')}`

function printReady(shell: Shell, info: NodeInfo, { store }: { readonly store?: string }): void {
  const { data } = shell.settings
  const flag = data === dataDirectory(undefined, shell.world.env) ? '' : ` --data ${data}`
  shell.out.result(info, (layout) => fields([
    ['name', info.name], ['id', info.id], ['fabric', `${info.fabric.slice(0, 8)}, ${ORIGINS[info.origin]}`], ['address', info.addresses.join(', ') || '-'], ['process', String(info.pid)], ['data', info.data],
    ...(info.doors['http'] === undefined ? [] : [['http', doorText(info.doors['http'], info.data)] as const]), ...(store === undefined ? [] : [['store', `${store} (\`kumoi${flag} store status\` says whether it answers)`] as const]),
  ], layout.style))
  shell.out.note(`To add a node: \`kumoi${flag} ticket\` here, then \`kumoi up --name NAME --join TICKET --detach\` there.`)
}
