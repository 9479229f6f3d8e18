// isolated-vm's owner: one isolate with its context and prelude. The only handles that exist are References
// held here; inside, user code meets plain functions of its own realm. Only primitives and exact-size byte
// arrays cross. Made ahead as spares, so that a function never seen before finds one ready.

import { createRequire } from 'node:module'
import type IsolatedVM from 'isolated-vm'
import type { Host } from '../prelude/host.ts'

/** Where a cell's bundle finds it; a process that loads the sources themselves asks by name. */
declare const KUMOI_ISOLATED_VM: string | undefined
const ivm = createRequire(import.meta.url)(typeof KUMOI_ISOLATED_VM === 'string' ? KUMOI_ISOLATED_VM : 'isolated-vm') as typeof IsolatedVM

type Fn<Args extends unknown[], Result> = IsolatedVM.Reference<(...args: Args) => Result>
const COPY = { arguments: { copy: true }, result: { copy: true } } as const
const COPY_IN = { arguments: { copy: true } } as const

export interface IsolateHooks { readonly post: Host['post']; readonly announce: Host['announce']; readonly catastrophe: () => void }

export interface PreludeText { readonly text: string; readonly shapes: string; cached: IsolatedVM.ExternalCopy<ArrayBuffer> | undefined }

export class SandboxIsolate {
  readonly heapLimitMiB: number
  readonly #isolate: IsolatedVM.Isolate
  readonly #run: Fn<unknown[], Uint8Array | undefined>
  readonly #load: Fn<unknown[], string>
  readonly #answer: Fn<unknown[], void>
  readonly #timer: Fn<[number], void>
  readonly #expire: Fn<[number, number], Uint8Array | undefined>
  readonly #package: Fn<[string, string, string], void>
  readonly #ping: Fn<[], void>
  readonly #keep: Fn<[number, Uint8Array], void>
  readonly #moment: Fn<[number], void> | undefined
  readonly #known: Fn<[readonly number[]], void> | undefined
  readonly #forgetStanding: Fn<[], void>
  /** Set per owner: a spare has none yet. */
  hooks: IsolateHooks | undefined

  constructor(prelude: PreludeText, heapLimitMiB: number, use: 'now' | 'spare' | 'virtual') {
    this.heapLimitMiB = heapLimitMiB
    this.#isolate = new ivm.Isolate({ memoryLimit: heapLimitMiB, onCatastrophicError: () => this.hooks?.catastrophe() })
    const context = this.#isolate.createContextSync()
    const cached = prelude.cached
    const script = this.#isolate.compileScriptSync(prelude.text, {
      filename: 'kumoi:prelude', ...(cached === undefined ? { produceCachedData: true } : { cachedData: cached }),
    }) as IsolatedVM.Script & { cachedData?: IsolatedVM.ExternalCopy<ArrayBuffer> }
    prelude.cached ??= script.cachedData
    const boot = script.runSync(context, { reference: true }) as unknown as IsolatedVM.Reference<(...args: unknown[]) => unknown>
    // On virtual time nothing else happens meanwhile, so that a post need not be put off.
    const post = new ivm.Callback((...args: Parameters<Host['post']>) => this.hooks?.post(...args), use === 'virtual' ? { sync: true } : { ignored: true })
    const announce = new ivm.Callback((...args: Parameters<Host['announce']>) => this.hooks?.announce(...args), { sync: true })
    const made = boot.applySync(undefined, [post, announce, prelude.shapes], { result: { reference: true } }) as unknown as IsolatedVM.Reference<Record<string, unknown>>
    const take = <F>(name: string): F => made.getSync(name, { reference: true }) as F
    this.#run = take('run')
    this.#load = take('load')
    this.#answer = take('answer')
    this.#timer = take('timer')
    this.#expire = take('expire')
    this.#package = take('package')
    this.#ping = take('ping')
    this.#keep = take('keep')
    this.#forgetStanding = take('forgetStanding')
    this.#moment = use === 'virtual' ? take('moment') : undefined
    this.#known = use === 'virtual' ? take('known') : undefined
    if (use === 'spare') take<Fn<[], void>>('rehearse').applySync(undefined, [])
    made.release()
    boot.release()
    script.release()
  }

  /** CPU time used so far, in milliseconds; may be read while it runs. */
  get cpuMs(): number { return this.#isolate.isDisposed ? 0 : Number(this.#isolate.cpuTime) / 1e6 }
  get disposed(): boolean { return this.#isolate.isDisposed }

  run(job: number, base: number, from: number, count: number, start: number, step: number, flags: number, items: Uint8Array | undefined): Promise<Uint8Array | undefined> {
    return this.#run.apply(undefined, [job, base, from, count, start, step, flags, items], COPY) as Promise<Uint8Array | undefined>
  }

  /** The same on this thread: no thread hop, but nothing else is served meanwhile. Throws when it takes longer than `timeoutMs`. */
  runHere(timeoutMs: number, job: number, base: number, from: number, count: number, start: number, step: number, flags: number, items: Uint8Array | undefined): Uint8Array | undefined {
    return this.#run.applySync(undefined, [job, base, from, count, start, step, flags, items], { ...COPY, timeout: timeoutMs }) as Uint8Array | undefined
  }

  load(plan: string, initial: Uint8Array | undefined, blobs: readonly (string | Uint8Array)[]): Promise<string> {
    return this.#load.apply(undefined, [plan, initial, ...blobs], COPY) as Promise<string>
  }

  /** Answers to host calls, four values each: number of the call, whether it succeeded, its bytes, else its error as text. */
  answer(answers: readonly unknown[]): Promise<void> { return this.#answer.apply(undefined, [...answers], COPY_IN) as Promise<void> }
  /** The same on this thread; see runHere. */
  answerHere(timeoutMs: number, answers: readonly unknown[]): void {
    this.#answer.applySync(undefined, [...answers], { ...COPY_IN, timeout: timeoutMs })
  }

  /** The same on this thread; see runHere. */
  loadHere(plan: string, initial: Uint8Array | undefined, blobs: readonly (string | Uint8Array)[]): string {
    return this.#load.applySync(undefined, [plan, initial, ...blobs], COPY) as string
  }

  timerHere(timeoutMs: number, id: number): void { this.#timer.applySync(undefined, [id], { ...COPY_IN, timeout: timeoutMs }) }
  expireHere(job: number, timeoutMs: number): Uint8Array | undefined { return this.#expire.applySync(undefined, [job, timeoutMs], COPY) as Uint8Array | undefined }
  /** Keeps the one reference of an array under a number, for items and answers that name it (prelude/kept.ts). */
  keepHere(slot: number, bytes: Uint8Array): void { this.#keep.applySync(undefined, [slot, bytes], COPY_IN) }
  /** What time it is for the code inside; virtual isolates only. */
  setMoment(atMs: number): void { this.#moment?.applySync(undefined, [atMs], COPY_IN) }

  /** Answers known by number stand no longer (prelude/standing.ts). */
  forgetStanding(): void { this.#forgetStanding.applySync(undefined, []) }

  /** Pairs: number of a call, number of the kept answer; virtual isolates only. */
  knownHere(timeoutMs: number, pairs: readonly number[]): void { this.#known?.applySync(undefined, [pairs], { ...COPY_IN, timeout: timeoutMs }) }

  timer(id: number): void { this.#timer.applyIgnored(undefined, [id], COPY_IN) }
  addPackage(request: string, text: string, label: string): Promise<void> { return this.#package.apply(undefined, [request, text, label], COPY_IN) as Promise<void> }
  expire(job: number, timeoutMs: number): Promise<Uint8Array | undefined> { return this.#expire.apply(undefined, [job, timeoutMs], COPY) as Promise<Uint8Array | undefined> }
  ping(): Promise<void> { return this.#ping.apply(undefined, [], COPY_IN) as Promise<void> }

  dispose(): void {
    try {
      this.#isolate.dispose()
    } catch {
      // Already gone, by its memory limit or an earlier call.
    }
  }
}
