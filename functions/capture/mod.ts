// Public names of functions/capture.

export { capture, explain } from './capture.ts'
export type { CaptureOptions } from './capture.ts'
export { inUserLines } from './frames.ts'
export { SANDBOX_GLOBALS } from './known.ts'
