#!/usr/bin/env node
// The launcher. Plain JavaScript that any Node from 18 up can run: it finds the pinned runtime, which
// is a dependency like any other, hands over to it, and stays as its keeper, since a process in an
// endless loop hears no signal. Started by a keeper, or as a node with the right flags, it loads the
// shell in this very process.
//
//   kumoi (any Node) --spawn--> node_modules/node-linux-*/bin/node kumoi.js --import--> main.ts
//
// Invariants: arguments, streams and exit status pass through unchanged; no child outlives this process
// (a pipe tells it when we are gone), none becomes a zombie; the second Ctrl-C always ends it.

import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { constants, homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const NODE_MAJOR_MIN = 24
const LIFELINE_ENV = 'KUMOI_LIFELINE_FD'
// Not 3: `up --detach` speaks on that one.
const LIFELINE_FD = 4
// LIMITS.interruptGraceMs and a little: the shell's own bound comes first.
const INTERRUPT_BOUND_MS = 2_500

const here = fileURLToPath(import.meta.url)
const packageRoot = dirname(dirname(here))
const installed = packageRoot.includes(join('/', 'node_modules', '/'))
const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8'))
const args = process.argv.slice(2)

// isolated-vm needs a process without V8's start-up snapshot; that doubles its start, so only nodes and simulations pay.
const SNAPSHOT_FLAG = '--no-node-snapshot'
const flags = ['--disable-warning=ExperimentalWarning', ...(args.includes('up') || args.includes('simulate') ? [SNAPSHOT_FLAG] : [])]

/** In a REPL Ctrl-C is a word among others. */
const conversational = args.includes('repl')

function pinnedRuntime() {
  try {
    const manifest = nodeModule.createRequire(import.meta.url).resolve(`node-linux-${process.arch}/package.json`)
    const binary = join(dirname(manifest), 'bin', 'node')
    return existsSync(binary) ? binary : undefined
  } catch {
    return undefined
  }
}

/** JavaScript where it was made (`npm run pack`), the sources everywhere else. */
function entry() {
  const packed = join(packageRoot, 'dist', 'cli', 'main.js')
  return existsSync(packed) && installed ? packed : join(packageRoot, 'cli', 'main.ts')
}

/** Node strips no types under node_modules; a plain `npm pack` carries the sources, so we do it for our own. */
function stripInstalledTypes() {
  const ours = `${pathToFileURL(packageRoot).href}/`
  nodeModule.registerHooks({
    load: (url, context, next) => (url.startsWith(ours) && url.endsWith('.ts') && !url.slice(ours.length).startsWith('node_modules/')
      ? { format: 'module', source: nodeModule.stripTypeScriptTypes(readFileSync(fileURLToPath(url), 'utf8')), shortCircuit: true }
      : next(url, context)),
  })
}

/** Ends this process when the launcher that started it is gone, however it went. */
async function holdLifeline() {
  if (process.env[LIFELINE_ENV] === undefined) return
  delete process.env[LIFELINE_ENV]
  const { Socket } = await import('node:net')
  const lifeline = new Socket({ fd: LIFELINE_FD })
  lifeline.on('error', () => {})
  lifeline.on('close', () => process.kill(process.pid, 'SIGTERM'))
  lifeline.unref()
  lifeline.resume()
}

/** Stripped and compiled modules are kept between runs, in the user's own cache: start-up falls to a third. */
function keepCompiled() {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  nodeModule.enableCompileCache?.(join(cache, 'kumoi', 'compile'))
}

async function runHere() {
  keepCompiled()
  await holdLifeline()
  const main = entry()
  if (installed && main.endsWith('.ts')) stripInstalledTypes()
  const { start } = await import(pathToFileURL(main).href)
  await start(args, { packageRoot, version, launcher: here })
}

function runThere(binary) {
  const child = spawn(binary, [...flags, here, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ignore', 'pipe'],
    env: { ...process.env, [LIFELINE_ENV]: String(LIFELINE_FD) },
  })
  child.stdio[LIFELINE_FD].on('error', () => {})
  let interrupts = 0
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) {
    process.on(signal, () => {
      // A terminal sends Ctrl-C to the child as well; the shell takes two within 100 ms for one.
      const last = signal === 'SIGINT' && !conversational && ++interrupts > 1
      child.kill(last ? 'SIGKILL' : signal)
      // An endless loop hears no signal: what has not ended of itself by then is ended.
      if (signal === 'SIGINT' && !conversational) setTimeout(() => child.kill('SIGKILL'), INTERRUPT_BOUND_MS).unref()
    })
  }
  child.on('error', (error) => fail(`its runtime ${binary} does not start (${error.message})`))
  child.on('exit', (status, signal) => {
    if (signal === null) process.exit(status ?? 1)
    process.exit(interrupts > 0 ? 130 : 128 + (constants.signals[signal] ?? 0))
  })
}

function fail(reason) {
  process.stderr.write(`error: kumoi cannot start: ${reason}.\n`)
  process.exit(1)
}

if (args[0] === '--version' || args[0] === '-V') {
  process.stdout.write(`${version}\n`)
} else {
  const [major = 0] = process.versions.node.split('.').map(Number)
  const recent = major >= NODE_MAJOR_MIN
  const kept = process.env[LIFELINE_ENV] !== undefined
  const node = process.execArgv.includes(SNAPSHOT_FLAG)
  if (recent && (node || (kept && !flags.includes(SNAPSHOT_FLAG)))) await runHere()
  else {
    const binary = pinnedRuntime() ?? (recent ? process.execPath : undefined)
    if (binary === undefined) {
      fail(`this is Node ${process.versions.node}, it needs Node ${NODE_MAJOR_MIN}, and its own copy (node-linux-${process.arch}) is not installed.\nInstall it with \`npm install --include=optional\`, or run kumoi with Node ${NODE_MAJOR_MIN} or newer`)
    } else runThere(binary)
  }
}
