// The seam between the main thread and libvirt: what an operation is.
//
//   driver part -> calls.call(name, args, call) -> a worker thread -> operation(context, args) -> libvirt.so.0
//
// An operation runs synchronously, from beginning to end on one thread, because libvirt keeps its last error per
// thread: it is read right after the call that failed. Arguments and result are plain data (they are posted between
// threads); every pointer an operation gets, it frees (`using`). It fails by throwing a LibvirtFailure, which
// crosses to the main thread as a FailureRecord and becomes a coded error there (failure.ts).

import type { FailureRecord } from './failure.ts'
import type { Library } from './library.ts'

/** Address in this process; NULL is null. */
export type Pointer = bigint

export interface OperationContext {
  readonly lib: Library
  /** virConnectPtr, shared by all threads; libvirt's calls on it are thread-safe. */
  readonly connection: Pointer
}
/** Synchronous, in a worker; plain data in and out; throws LibvirtFailure. */
export type Operation = (context: OperationContext, args: never) => unknown
export type Operations = Readonly<Record<string, Operation>>

/** libvirt said no. `failure` is what crosses the thread edge. */
export class LibvirtFailure extends Error {
  readonly failure: FailureRecord
  constructor(failure: FailureRecord) {
    super(failure.text)
    this.name = 'LibvirtFailure'
    this.failure = failure
  }
}

/** Throws what libvirt's last error on this thread says when `failed`. `what` names the libvirt function. */
export function failIf(failed: boolean, lib: Library, what: string): void {
  if (!failed) return
  const last = lib.lastError()
  throw new LibvirtFailure({ what, number: last?.number ?? 0, domain: last?.domain ?? 0, text: last?.text ?? `${what} failed and left no error` })
}

/** The result of a function that answers -1 when it fails. */
export function succeeded(result: number, lib: Library, what: string): number {
  failIf(result < 0, lib, what)
  return result
}

/** The result of a function that answers NULL when it fails. */
export function present<T>(result: T | null, lib: Library, what: string): T {
  failIf(result === null, lib, what)
  return result as T
}

/** Works with a pointer that must be freed, whatever happens. */
export function using<T>(pointer: Pointer, free: (pointer: Pointer) => unknown, work: (pointer: Pointer) => T): T {
  try {
    return work(pointer)
  } finally {
    free(pointer)
  }
}
