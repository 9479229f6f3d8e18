// Runs the machine's own tools for the lab (ip, mount, virsh, qemu-img, apt-get ...): no shell, a bound on
// time, and a failure that names the step and holds the tool's own words.

import { execFile } from 'node:child_process'

import { LIMITS } from '../../fabric/base.ts'
import { CLI } from '../errors.ts'

export interface RunOptions {
  /** What is being done, for the error: "Making the bridge". */
  readonly step: string
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  readonly input?: string | Buffer
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** Standard output; throws CLI_ERR_LAB_FAILED with the end of standard error. */
export function run(file: string, args: readonly string[], options: RunOptions): Promise<string> {
  return runBytes(file, args, options).then((bytes) => bytes.toString('utf8'))
}

export function runBytes(file: string, args: readonly string[], { step, input, timeoutMs = LIMITS.labToolTimeoutMs, ...options }: RunOptions): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const child = execFile(file, [...args], { ...options, env: { ...process.env, ...options.env }, encoding: 'buffer', timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: LIMITS.labToolOutputBytesMax }, (error, stdout, stderr) => {
    if (error === null) return resolve(stdout)
    const said = stderr.toString('utf8').trim().split('\n').slice(-8).join('\n')
    reject(CLI.LAB_FAILED({ step, reason: `${[file, ...args].join(' ').slice(0, 200)}: ${said === '' ? error.message : said}` }, { cause: error }))
  })
  child.stdin?.on('error', () => {})
  child.stdin?.end(input)
  return promise
}
