// `npm start`, `kumoi tour`: three nodes on this machine, asked the questions of the README one after
// the other. Each step is a real command line, run through the real launcher, with its real output.
//
// Invariant: however it ends (done, failed, Ctrl-C), no process and no file of it is left.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { LIMITS } from '../fabric/base.ts'
import { CLI } from './errors.ts'
import { neutral } from './render/text.ts'
import type { Shell } from './session.ts'

interface Step { readonly title: string; readonly args: readonly string[]; readonly note?: string }

const SCRIPT = `import { connect } from 'kumoi'

const dc = await connect()
const names: string[] = await dc.pms.dmap(pm => pm.name)
console.log(\`\${process.argv.slice(2).join(' ')}: \${names.length} machines\`)
await dc.close()
`

const STEPS: readonly Step[] = [
  { title: 'The fabric has three nodes.', args: ['nodes'] },
  { title: 'One line asks every machine. The arrow function travels; the answers come back.', args: ['pms.dmap(pm => pm.name)'] },
  { title: 'A captured variable travels with it.', args: ['const least = 0.01; pms.dfilter(pm => pm.memoryFreeRatio > least).dmap(pm => ({ name: pm.name, cores: pm.cores, least }))'] },
  { title: 'What exactly would travel?', args: ['explain', 'const least = 0.01; pm => pm.memoryFreeRatio > least'] },
  { title: 'Run a program on each machine, and see what became of each call.', args: ["pms.dmap(pm => pm.exec('uname', ['-r'])).settled()"] },
  { title: 'Equal answers, once.', args: ['--merge', "pms.dmap(async pm => (await pm.exec('uname', ['-s'])).stdout.trim())"] },
  { title: 'Plain data over spare cores: only the bounds of the range travel.', args: ['range(1e6).dmap(x => x * x).dreduce((a, b) => a + b)'] },
  { title: 'A function that fails on one machine: the others answer, and the exit status is 1.', args: ["pms.dmap(pm => { if (pm.name === 'beta') throw new Error('out of paper'); return pm.name })"], note: 'status' },
  { title: 'A script, with `kumoi` resolved to this installation.', args: ['run', '<report.ts>', '--since', 'yesterday'] },
  { title: 'For programs: --json.', args: ['--json', 'pms.dmap(pm => pm.name)'] },
  { title: 'gamma leaves cleanly; the others know at once.', args: ['down', '--data', '<gamma>'] },
  { title: 'And so:', args: ['nodes'] },
]

const shown = (args: readonly string[]): string => ['kumoi', ...args.map((a) => (/^[\w@/.,:=<>-]+$/.test(a) && !/[<>]/.test(a) ? a : a.includes("'") ? `"${a}"` : `'${a}'`))].join(' ')

export class Tour {
  readonly #shell: Shell
  readonly #nodes: { readonly name: string; readonly process: ChildProcess }[] = []
  #folder = ''

  constructor(shell: Shell) { this.#shell = shell }

  async run(): Promise<void> {
    const { interrupt } = this.#shell
    this.#folder = await mkdtemp(join(tmpdir(), 'kumoi-tour-'))
    try {
      await interrupt.race(this.#walk())
    } finally {
      await this.#clean()
    }
  }

  async #walk(): Promise<void> {
    this.#say(`Kumoi ${this.#shell.world.version}: a three-node fabric on this machine, in ${this.#folder} until the tour ends.\n`)
    await this.#start('alpha', [])
    const ticket = (await this.#kumoi(['ticket', '--data', join(this.#folder, 'alpha')])).stdout.trim()
    await Promise.all(['beta', 'gamma'].map((name) => this.#start(name, ['--join', ticket])))
    const script = join(this.#folder, 'report.ts')
    await writeFile(script, SCRIPT)
    const places: Readonly<Record<string, string>> = { '<report.ts>': script, '<gamma>': join(this.#folder, 'gamma') }
    for (const [index, step] of STEPS.entries()) {
      const { style } = this.#shell.out
      this.#say(style.bold(`${index + 1}. ${step.title}`))
      if (step.args[0] === 'run') this.#say(SCRIPT.trimEnd().split('\n').map((line) => style.dim(`   | ${line}`)).join('\n'))
      const args = step.args.map((a) => places[a] ?? a)
      this.#say(`   ${style.cyan(`$ ${shown(args)}`)}`)
      const { status, text } = await this.#kumoi(args)
      this.#say((text === '' ? '(nothing)' : neutral(text)).trimEnd().split('\n').map((line) => `   ${line}`).join('\n'))
      if (step.note === 'status') this.#say(style.dim(`   exit status ${status}`))
      else if (status !== 0) throw CLI.TOUR_STEP({ step: step.title, reason: `\`${shown(args)}\` ended with status ${status}: ${text.trim()}` })
      this.#say('')
    }
    this.#say([
      this.#shell.out.style.bold('What next'),
      '   kumoi up --name alpha --listen <address of this machine> --detach',
      '   kumoi ticket                                    # then, on another machine:',
      '   kumoi up --name beta --join <ticket> --detach',
      "   kumoi 'pms.dmap(pm => pm.name)'",
      '   kumoi repl, kumoi doctor, kumoi --help',
    ].join('\n'))
  }

  #say(text: string): void { this.#shell.world.stdout.write(`${text}\n`) }

  #spawn(args: readonly string[], data: string): ChildProcess {
    const child = spawn(process.execPath, [...process.execArgv.filter((a) => a !== '--no-node-snapshot'), ...(args[0] === 'up' ? ['--no-node-snapshot'] : []), this.#shell.world.launcher, ...args], {
      // A terminal's Ctrl-C reaches its whole group; nodes are stopped by us, in order.
      // The last pipe is a lifeline (cli/kumoi.js): should we be killed, they go too.
      detached: true, stdio: ['ignore', 'pipe', 'pipe', 'ignore', 'pipe'],
      env: { ...this.#shell.world.env, KUMOI_LIFELINE_FD: '4', KUMOI_DATA: data, ...(this.#shell.settings.color && this.#shell.world.stdout.isTTY === true ? { FORCE_COLOR: '1' } : {}) },
    })
    child.stdio[4]?.on('error', () => {})
    return child
  }

  /** Starts a node and waits for the JSON that it prints when it is ready. */
  async #start(name: string, more: readonly string[]): Promise<void> {
    const child = this.#spawn(['up', '--json', '--name', name, '--listen', '127.0.0.1', ...more], join(this.#folder, name))
    this.#nodes.push({ name, process: child })
    let errors = ''
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => { errors = (errors + chunk).slice(-4_000) })
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const step = `starting ${name}`
    const timer = this.#shell.world.clock.after(LIMITS.nodeStartTimeoutMs, () => reject(CLI.TOUR_STEP({ step, reason: `not ready after ${LIMITS.nodeStartTimeoutMs} ms: ${errors.trim()}` })))
    if (child.stdout !== null) createInterface({ input: child.stdout }).once('line', () => resolve())
    child.once('exit', (status) => reject(CLI.TOUR_STEP({ step, reason: `it ended with status ${status}: ${errors.trim()}` })))
    child.once('error', reject)
    try {
      await promise
    } finally {
      timer.cancel()
    }
  }

  async #kumoi(args: readonly string[]): Promise<{ readonly status: number; readonly stdout: string; readonly text: string }> {
    const child = this.#spawn(args, join(this.#folder, 'alpha'))
    let stdout = '', text = ''
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => { stdout += chunk; text += chunk })
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => { text += chunk })
    const kill = (): void => { child.kill('SIGKILL') }
    const timer = this.#shell.world.clock.after(LIMITS.tourStepTimeoutMs, kill)
    this.#shell.interrupt.signal.addEventListener('abort', kill, { once: true })
    try {
      const [status] = await once(child, 'close') as [number | null]
      return { status: status ?? 1, stdout, text }
    } finally {
      timer.cancel()
      this.#shell.interrupt.signal.removeEventListener('abort', kill)
    }
  }

  /** Joiners first, the founder last; whoever does not go is killed. */
  async #clean(): Promise<void> {
    const stop = async (child: ChildProcess): Promise<void> => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      const grace = this.#shell.interrupt.signal.aborted ? LIMITS.interruptGraceMs / 4 : LIMITS.tourStopGraceMs
      const timer = this.#shell.world.clock.after(grace, () => { child.kill('SIGKILL') })
      child.kill('SIGTERM')
      await gone
      timer.cancel()
    }
    const [founder, ...joiners] = this.#nodes.map((n) => n.process)
    await Promise.all(joiners.map(stop))
    if (founder !== undefined) await stop(founder)
    await rm(this.#folder, { recursive: true, force: true })
  }
}
