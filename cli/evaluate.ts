// Runs the user's text in this process: one-liners, `explain`, and each line of the REPL.
//
// V8 itself does it, through the inspector's REPL mode: the value of the last expression counts,
// `await` works at the top, and names declared at the top live in a script scope, where the capture
// of shipped functions finds them (functions/capture asks V8 for [[Scopes]]). No parser, no rewriting.
// The session's names (pms, range, ...) are declared the same way, so they are captured like the user's.
//
// The synchronous part runs inside vm.runInThisContext only for its watchdog threads: an endless loop
// ends on --timeout, and in a REPL on Ctrl-C, although no handler can run. (A one-liner's endless loop
// is ended by the launcher: the Ctrl-C watchdog loses a signal that comes as the script ends, and is
// worth that only where the process must live on.) 

import { Session } from 'node:inspector'
import type { Runtime } from 'node:inspector'
import vm from 'node:vm'

import { errorCode } from '../fabric/base.ts'
import { CLI } from './errors.ts'
import { referenceOf } from './render/shapes.ts'
import { caret, toScript } from './source.ts'

export type Bindings = Readonly<Record<string, unknown>>

export interface EvaluationOptions {
  /** Bounds the synchronous part; what it starts is bounded by the session's signal. */
  readonly timeoutMs?: number | undefined
  /** For a terminal session: Ctrl-C ends the synchronous part. Called around it, to leave raw mode, or no signal is made. */
  readonly breakable?: (run: () => unknown) => unknown
}

/** A completion value that must not be awaited on the way: a collection is one too. */
export interface Completion { readonly value: unknown }

/** @types/node lacks the protocol's experimental fields that we use. */
type ReplEvaluateParameters = Runtime.EvaluateParameterType & { readonly replMode: true; readonly throwOnSideEffect?: boolean; readonly timeout?: number }

const INSTEAD_OF_IMPORT = "use require('...'), or put the program in a file for `kumoi run FILE`."
const HOOK = Symbol.for('kumoi.shell.evaluation')
const HOOK_TEXT = "globalThis[Symbol.for('kumoi.shell.evaluation')]"
interface Hook { readonly bindings: Bindings; taken: unknown; start: (() => void) | undefined }

export class Evaluator {
  readonly #session = new Session()
  readonly #hook: Hook
  readonly #url: string

  /** One per process at a time. `name` is what stacks call the text: "kumoi:expression". */
  constructor(bindings: Bindings, name: string) {
    this.#url = name
    this.#hook = { bindings, taken: undefined, start: undefined }
    Object.defineProperty(globalThis, HOOK, { value: this.#hook, configurable: true, enumerable: false })
    this.#session.connect()
  }

  /** Declares the session's names. Once, before anything else. */
  async open(): Promise<void> {
    const names = Object.keys(this.#hook.bindings).join(', ')
    await this.#script(`const { ${names} } = ${HOOK_TEXT}.bindings; undefined`, {})
  }

  /** Undefined: the text stops in the middle. */
  async run(source: string, options: EvaluationOptions): Promise<Completion | undefined> {
    const script = toScript(source)
    if (script.incomplete) return undefined
    return this.#script(script.code, options)
  }

  /** Names of the properties of what a side-effect-free text denotes; for completion. */
  async properties(expression: string): Promise<readonly string[]> {
    const answer = await this.#post('Runtime.evaluate', { expression, replMode: true, throwOnSideEffect: true, timeout: 100 })
    const { objectId } = answer.result
    if (answer.exceptionDetails !== undefined || objectId === undefined || answer.result.subtype === 'proxy') return []
    const names: string[] = []
    let at: string | undefined = objectId
    for (let depth = 0; at !== undefined && depth < 4; depth++) {
      const { result, internalProperties }: Runtime.GetPropertiesReturnType = await this.#post('Runtime.getProperties', { objectId: at, ownProperties: true })
      names.push(...result.flatMap((p) => (p.symbol === undefined ? [p.name] : [])))
      at = internalProperties?.find((p) => p.name === '[[Prototype]]')?.value?.objectId
    }
    return names
  }

  /** Kind of the object that a declared name refers to; undefined for everything else. Nothing of the object is asked. */
  async kindOf(name: string): Promise<string | undefined> {
    const { result, exceptionDetails } = await this.#post('Runtime.evaluate', { expression: name, replMode: true, throwOnSideEffect: true, timeout: 100 })
    if (exceptionDetails !== undefined || result.objectId === undefined) return undefined
    return referenceOf((await this.#take(result)).value)?.kind
  }

  /** Names declared at the top of earlier texts. */
  async names(): Promise<readonly string[]> {
    return (await this.#post('Runtime.globalLexicalScopeNames', {})).names
  }

  close(): void {
    this.#session.disconnect()
    Reflect.deleteProperty(globalThis, HOOK)
  }

  async #script(code: string, options: EvaluationOptions): Promise<Completion> {
    const expression = `${code}\n//# sourceURL=${this.#url}`
    let answer: Promise<Runtime.EvaluateReturnType> | undefined
    this.#hook.start = () => {
      answer = this.#post('Runtime.evaluate', { expression, replMode: true, awaitPromise: true })
    }
    const watched = { breakOnSigint: options.breakable !== undefined, ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }) }
    try {
      const run = (): unknown => vm.runInThisContext(`${HOOK_TEXT}.start()`, { ...watched, filename: this.#url })
      if (options.breakable === undefined) run()
      else options.breakable(run)
    } catch (error) {
      if (errorCode(error) === 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw CLI.TIMEOUT({ timeoutMs: options.timeoutMs ?? 0 })
      if (errorCode(error) !== 'ERR_SCRIPT_EXECUTION_INTERRUPTED') throw error
      throw CLI.INTERRUPTED({})
    }
    if (answer === undefined) throw new Error('the evaluation did not start')
    const { result, exceptionDetails } = await answer
    if (exceptionDetails === undefined) return this.#take(result)
    throw (await this.#thrown(code, exceptionDetails)).value
  }

  async #thrown(code: string, details: Runtime.ExceptionDetails): Promise<Completion> {
    const { value: thrown } = details.exception === undefined ? { value: new Error(details.text) } : await this.#take(details.exception)
    if (!(thrown instanceof Error)) return { value: thrown }
    // V8 names the script only when it could not be compiled; a SyntaxError thrown by running code has none.
    if (thrown instanceof SyntaxError && details.scriptId !== undefined) {
      const reason = thrown.message.startsWith('Cannot use import statement') ? `import does not work in an expression; ${INSTEAD_OF_IMPORT}` : thrown.message
      return { value: CLI.SYNTAX({ reason, excerpt: caret(code, details.lineNumber, details.columnNumber) }, { cause: thrown }) }
    }
    if (thrown.message === 'A dynamic import callback was not specified.') {
      thrown.message = `import() does not work in an expression; ${INSTEAD_OF_IMPORT}`
    }
    return { value: thrown }
  }

  /** The value itself, from the inspector's description of it; boxed, or returning it would await it. */
  async #take(remote: Runtime.RemoteObject): Promise<Completion> {
    if (remote.objectId === undefined) return { value: remote.unserializableValue === undefined ? remote.value as unknown : unserializable(remote.unserializableValue) }
    this.#hook.taken = undefined
    await this.#post('Runtime.callFunctionOn', {
      objectId: remote.objectId, arguments: [{ objectId: remote.objectId }],
      functionDeclaration: `function (value) { ${HOOK_TEXT}.taken = value }`,
    })
    void this.#post('Runtime.releaseObject', { objectId: remote.objectId })
    const { taken } = this.#hook
    this.#hook.taken = undefined
    return { value: taken }
  }

  #post(method: 'Runtime.evaluate', parameters: ReplEvaluateParameters): Promise<Runtime.EvaluateReturnType>
  #post(method: 'Runtime.getProperties', parameters: Runtime.GetPropertiesParameterType): Promise<Runtime.GetPropertiesReturnType>
  #post(method: 'Runtime.callFunctionOn', parameters: Runtime.CallFunctionOnParameterType): Promise<unknown>
  #post(method: 'Runtime.releaseObject', parameters: Runtime.ReleaseObjectParameterType): Promise<unknown>
  #post(method: 'Runtime.globalLexicalScopeNames', parameters: Runtime.GlobalLexicalScopeNamesParameterType): Promise<Runtime.GlobalLexicalScopeNamesReturnType>
  #post(method: string, parameters: object): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    // The watchdog unwinds through this very frame and leaves the promise to nobody; its own error is the one to tell.
    promise.catch(() => {})
    this.#session.post(method, parameters, (error, result) => (error === null ? resolve(result) : reject(error)))
    return promise
  }
}

/** -0, NaN, Infinity, 12n as the inspector writes them. */
function unserializable(text: string): number | bigint {
  return text.endsWith('n') ? BigInt(text.slice(0, -1)) : Number(text)
}
