// Stack frames of shipped code, told in the lines of the files that the user wrote. Caller's side, only
// when somebody reads the stack of an error that came back.
//
//   kumoi:<name>@<hash>:line:column   as the sandbox compiled it (sandbox/prelude/plan.ts)
//     line -> template (capture.ts: the first begins at line 2, one after the other) -> its function -> file:line
//
// Templates keep the author's line breaks, so a line inside one is a line below its function's first.

import type { Captured } from '../contract.ts'
import { locationOf } from './inspect.ts'

const FRAME = /kumoi:[\w$.-]*@([0-9a-f]{8}):(\d+):(\d+)/g
/** `(environment,runtime)=>runtime.link(environment,[` */
const LINES_BEFORE_TEMPLATES = 1

/** Frames whose function is not among `captured`, or has no file, stay as they are. */
export function inUserLines(stack: string, captured: readonly Captured[]): string {
  return stack.replace(FRAME, (frame, hash: string, lineText: string, column: string) => {
    const origins = captured.find(({ program }) => program.hash.startsWith(hash))?.origins
    if (origins === undefined) return frame
    let line = Number(lineText) - LINES_BEFORE_TEMPLATES
    for (const [i, template] of origins.templates.entries()) {
      const height = template.split('\n').length
      if (line > height) { line -= height; continue }
      const at = locationOf(origins.functions[i])
      // On the first line the column is that of the template, which has words before the function.
      return at === undefined ? frame : `${at.file}:${at.line + line - 1}:${line === 1 ? 1 : column}`
    }
    return frame
  })
}
