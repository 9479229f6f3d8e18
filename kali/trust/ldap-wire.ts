// The wire between ldapts and a TLS connection: a stream that lets only well-formed answers through, whole, each one to a question
// that was asked and of its kind, and no more bytes than a login needs. Anything else ends the connection, so that ldapts rejects.
//
//   ldapts -> write: which number asked what -> TLS
//   ldapts <- one message a chunk <- readAnswer <- frames <- TLS
//
// What was read strictly here is what ldap.ts goes by: entries and result codes of the last question.

import { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { Malformed, OPERATION, frameOf, headOf, readAnswer } from './ldap-message.ts'
import type { LdapAnswer } from './ldap-message.ts'

export type LdapEntry = Extract<LdapAnswer, { type: 'entry' }>
/** All that came for one question. */
export interface LdapOutcome { readonly code: number; readonly entries: readonly LdapEntry[]; readonly references: number }

const ANSWER: ReadonlyMap<number, number> = new Map([[OPERATION.bind, OPERATION.bindResponse], [OPERATION.search, OPERATION.searchDone], [OPERATION.extended, OPERATION.extendedResponse]])

export class LdapWire extends Duplex {
  /** What ldapts asks of a socket to see that it is open. */
  readonly connecting = false
  readonly readyState = 'open'
  readonly #socket: TLSSocket
  readonly #bytesMax: number
  #bytes = 0
  /** Bytes of a message that is not whole yet; `#need`: how many make it whole, 0 while that is not known. */
  #partial: Buffer[] = []
  #have = 0
  #need = 0
  #asked: { readonly id: number; readonly operation: number } | undefined
  #entries: LdapEntry[] = []
  #references = 0
  #outcome: LdapOutcome | undefined
  #broken: string | undefined

  constructor(socket: TLSSocket, options: { readonly bytesMax: number }) {
    super({ allowHalfOpen: false })
    this.#socket = socket
    this.#bytesMax = options.bytesMax
    // Told by `broken`; without a listener an error of a write would end the node.
    this.on('error', () => {})
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('error', (error) => this.#end(`the connection broke (${(error as NodeJS.ErrnoException).code ?? 'error'})`))
    socket.on('close', () => this.#end('it closed the connection'))
  }

  /** Before each question: what came for the one before is no answer to it, also if ldapts never sends it. */
  forget(): void { this.#outcome = undefined }
  /** What came for the question that was asked last; undefined: not all of it came. */
  get outcome(): LdapOutcome | undefined { return this.#outcome }
  /** Why the connection ended, in words; undefined: it stands. */
  get broken(): string | undefined { return this.#broken }

  /** Ends it, with a reason for who asks later. May be called again. */
  #end(reason: string): void {
    if (this.#broken !== undefined) return
    this.#broken = reason
    this.#outcome = undefined
    this.#socket.destroy()
    this.destroy()
  }

  override _read(): void {}
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const { id, operation } = headOf(chunk)
    if (operation !== OPERATION.unbind) {
      this.#asked = { id, operation }
      this.#entries = []
      this.#references = 0
      this.#outcome = undefined
    }
    this.#socket.write(chunk, done)
  }
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#broken ??= 'the connection was closed'
    this.#socket.destroy()
    done(error)
  }

  #take(chunk: Buffer): void {
    if (this.#broken !== undefined) return
    this.#bytes += chunk.length
    if (this.#bytes > this.#bytesMax) { this.#end(`it sent more than ${this.#bytesMax} bytes`); return }
    this.#partial.push(chunk)
    this.#have += chunk.length
    try {
      // Joined when a message is whole, or its length not known: a server that drips costs no copy a byte.
      while (this.#have > 0 && (this.#need === 0 || this.#have >= this.#need)) {
        const all = this.#partial.length === 1 ? this.#partial[0]! : Buffer.concat(this.#partial)
        this.#partial = [all]
        if (this.#need === 0) {
          const frame = frameOf(all)
          if (frame === undefined) return
          if (frame.total > this.#bytesMax) throw new Malformed('a message longer than allowed')
          this.#need = frame.total
          continue
        }
        this.#accept(all.subarray(0, this.#need))
        this.#have -= this.#need
        this.#partial = this.#have === 0 ? [] : [all.subarray(this.#need)]
        this.#need = 0
      }
    } catch (error) {
      if (!(error instanceof Malformed)) throw error
      this.#end(`its answer is not LDAP: ${error.message}`)
    }
  }

  #accept(message: Buffer): void {
    const answer = readAnswer(message)
    const asked = this.#asked
    if (answer.id === 0) throw new Malformed('a notice that it ends the connection')
    if (asked === undefined || this.#outcome !== undefined || answer.id !== asked.id) throw new Malformed('an answer to nothing that was asked')
    if (answer.type === 'result') {
      if (ANSWER.get(asked.operation) !== answer.operation) throw new Malformed('an answer to another question')
      this.#outcome = { code: answer.code, entries: this.#entries, references: this.#references }
    } else if (asked.operation !== OPERATION.search) throw new Malformed('an answer to another question')
    else if (answer.type === 'entry') this.#entries.push(answer)
    else this.#references++
    this.push(message)
  }
}
