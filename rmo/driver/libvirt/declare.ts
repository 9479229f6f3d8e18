// Declarations of C functions: the prototype that koffi reads and the TypeScript type of the same, side by side.
//
// A function is bound at its first use, so that a libvirt that lacks one (an older version) fails that operation only.

import type { LibraryHandle } from 'koffi'

/** A C prototype in koffi's syntax that is called as `F` in TypeScript. */
export interface Declaration<F> { readonly prototype: string; readonly type?: F }
export type Declarations = Readonly<Record<string, Declaration<unknown>>>
/** Functions by their C names. */
export type Bound<D extends Declarations> = { readonly [K in keyof D]: D[K] extends Declaration<infer F> ? F : never }

export const c = <F>(prototype: string): Declaration<F> => ({ prototype })

/** Answers an object whose properties are bound when they are first read. */
export function bind<D extends Declarations>(library: LibraryHandle, declarations: D): Bound<D> {
  const bound = {}
  for (const [name, { prototype }] of Object.entries(declarations)) {
    Object.defineProperty(bound, name, {
      configurable: true,
      get() {
        const value: unknown = library.func(prototype)
        Object.defineProperty(bound, name, { value })
        return value
      },
    })
  }
  return bound as Bound<D>
}
