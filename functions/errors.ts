// Error table of functions/: FUNCTIONS_ERR_*. ERRORS.md has the same rows.
//
// Messages say what happened, to what, and what to do. Callers compare codes, never text.

import { defineErrors } from '../fabric/base.ts'

interface At { readonly path: string; readonly where: string }

export const FUNCTIONS = defineErrors('FUNCTIONS_ERR', {
  // capture: `path` leads from the function to the culprit (fn.helper.table), `where` is " (file:line)" of the function or ""
  CAPTURE_NOT_A_FUNCTION: { message: (d: { got: string }) => `expected a function to ship, got ${d.got}` },
  CAPTURE_SYNTAX: { message: (d: At & { why: string }) => `${d.path}${d.where} cannot be shipped: its source does not parse on its own (${d.why}); write it as a plain arrow or function` },
  CAPTURE_THIS: { message: (d: At) => `${d.path}${d.where} cannot be shipped: it uses the enclosing \`this\`, which the engine hides; copy what it needs into a const before the arrow` },
  CAPTURE_ARGUMENTS: { message: (d: At) => `${d.path}${d.where} cannot be shipped: it uses the enclosing function's \`arguments\`; copy what it needs into a const before the arrow` },
  CAPTURE_SUPER: { message: (d: At) => `${d.path}${d.where} cannot be shipped: it uses \`super\` of an enclosing class or object; call the method by its class name, or ship the whole instance` },
  CAPTURE_NEW_TARGET: { message: (d: At) => `${d.path}${d.where} cannot be shipped: it uses the enclosing \`new.target\`; copy it into a const before the arrow` },
  CAPTURE_PRIVATE: { message: (d: At & { name: string }) => `${d.path}${d.where} cannot be shipped: it reads ${d.name}, private to an enclosing class; copy the value into a const before the arrow, or ship an instance and call a method of it` },
  CAPTURE_WRITE: { message: (d: At & { name: string }) => `${d.path}${d.where} cannot be shipped: it assigns to ${d.name}, which lives outside it, and captured variables are read-only copies; return the new value instead` },
  CAPTURE_UNINITIALISED: { message: (d: At) => `${d.path}${d.where} has no value yet; ship the function after the variable is initialised` },
  CAPTURE_UNDEFINED: { message: (d: At & { name: string }) => `${d.path}${d.where} cannot be shipped: ${d.name} is not defined where the function was written; define it, or pass it as an argument` },
  CAPTURE_EVAL: { message: (d: At) => `${d.path}${d.where} cannot be shipped: it calls eval directly, so what it reads cannot be known; pass the values it needs as arguments to a plain function` },
  CAPTURE_IMPORT: { message: (d: At & { what: string }) => `${d.path}${d.where} cannot be shipped: it uses ${d.what}, which has no meaning at the target; import at the top of the file instead` },
  CAPTURE_BUILTIN: { message: (d: At & { name: string }) => `${d.path}${d.where} is ${d.name} of Node, which the sandbox does not have; call a verb of the machine instead (pm.exec, pm.readFile), or do it before shipping and capture the result` },
  CAPTURE_NATIVE: { message: (d: At & { name: string }) => `${d.path}${d.where} is native code (${d.name}) that has no name at the target; wrap what you need of it in an arrow that runs there` },
  CAPTURE_GLOBAL: { message: (d: At & { name: string }) => `${d.path}${d.where} cannot be shipped: the sandbox has no global ${d.name}; read what you need of it into a const before the function` },
  CAPTURE_PROXY: { message: (d: At) => `${d.path}${d.where} is a Proxy, whose handler cannot be read; capture the object behind it` },
  CAPTURE_OPAQUE: { message: (d: At & { what: string; hint: string }) => `${d.path}${d.where} is ${d.what}, which holds state that cannot be copied; ${d.hint}` },
  CAPTURE_SYMBOL: { message: (d: At) => `${d.path}${d.where} is an unregistered symbol, which would not be equal to itself at the target; make it with Symbol.for` },
  CAPTURE_PACKAGE: { message: (d: At & { package: string }) => `${d.path}${d.where} belongs to package ${d.package} but is not one of its public exports, so the target could not find its own copy; import a public name of the package in the file of the function` },
  CAPTURE_TOO_LARGE: { message: (d: At & { bytes: number; bytesMax: number; biggest: string }) => `${d.path}${d.where} captures at least ${d.bytes} bytes; ${d.bytesMax} may travel with a function. Biggest: ${d.biggest}. Use from(...) to ship data as elements, or read it at the target` },
  CAPTURE_CODE_TOO_LARGE: { message: (d: At & { bytes: number; bytesMax: number }) => `${d.path}${d.where} with all it calls is ${d.bytes} bytes of source; ${d.bytesMax} may travel. Put the code in an npm package that the target has` },
  CAPTURE_TOO_DEEP: { message: (d: At & { depthMax: number }) => `${d.path}${d.where} nests deeper than ${d.depthMax} levels; flatten it (a list instead of a linked chain)` },
  CAPTURE_INSPECTOR: { message: (d: { why: string }) => `captured variables cannot be read: V8's inspector is not available (${d.why}); run without --permission or add --allow-inspector` },

  // value: `path` leads from the root to the culprit (result.a[3].f)
  VALUE_UNSUPPORTED: { message: (d: { path: string; what: string; hint: string }) => `${d.path} is ${d.what} and cannot travel; ${d.hint}` },
  VALUE_TOO_DEEP: { message: (d: { path: string; depthMax: number }) => `${d.path} nests deeper than ${d.depthMax} levels; flatten it (a list instead of a linked chain)` },
  VALUE_TOO_LARGE: { message: (d: { path: string; bytes: number; bytesMax: number }) => `${d.path} takes the value past ${d.bytesMax} bytes (at least ${d.bytes}); return less, or a summary` },
  VALUE_MALFORMED: { message: (d: { why: string; at: number }) => `the bytes of a value are malformed at ${d.at}: ${d.why}; they were dropped` },
  PROGRAM_BROKEN: { message: (d: { why: string }) => `shipped code and captured values do not fit together: ${d.why}; capture the function again` },

  // sandbox
  THROWN: { message: (d: { message: string }) => d.message },
  SANDBOX_BUSY: { message: (d: { principal: string; waiting: number }) => `the sandbox of ${d.principal} has ${d.waiting} chunks waiting already; send fewer at once, or try again`, retryable: true, outcome: 'not-started' },
  SANDBOX_FULL: { message: (d: { cells: number }) => `all ${d.cells} cells of this node are busy for other principals; try again later`, retryable: true, outcome: 'not-started' },
  SANDBOX_CLOSED: { message: (_: object) => 'the sandbox of this node is closed', outcome: 'not-started' },
  SANDBOX_START: { message: (d: { reason: string }) => `a sandbox cell did not start: ${d.reason}; run kumoi doctor`, retryable: true, outcome: 'not-started' },
  SANDBOX_QUARANTINED: { message: (d: { name: string; kills: number; seconds: number }) => `function ${d.name} killed its sandbox ${d.kills} times and is refused for ${d.seconds} s; mend it first`, outcome: 'not-started' },
  SANDBOX_CRASH: { message: (d: { index: number; how: string }) => `the sandbox died (${d.how}) while it ran element ${d.index}; the function asks V8 for something that aborts it, such as one huge string or array`, outcome: 'unknown' },
  SANDBOX_MEMORY: { message: (d: { index: number; how: string }) => `the function ran out of memory (${d.how}) at element ${d.index}; process less at once, or raise heapLimitMiB`, outcome: 'unknown' },
  SANDBOX_CPU: { message: (d: { cpuTimeMs: number }) => `the function used more than its ${d.cpuTimeMs} ms of CPU time; do less per element, or raise cpuTimeMs`, outcome: 'unknown' },
  SANDBOX_PROPERTY: { message: (d: { kind: string; property: string }) => `a ${d.kind} has no property "${d.property}"; check the spelling` },
  SANDBOX_TIMEOUT: { message: (d: { timeoutMs: number }) => `the function had not answered after ${d.timeoutMs} ms; raise timeoutMs, or do less per element`, outcome: 'unknown' },
  SANDBOX_CANCELLED: { message: (_: object) => 'the run was cancelled; elements under way may have had effects', outcome: 'unknown' },
  SANDBOX_LINK: { message: (d: { reason: string }) => `the function could not be set up in the sandbox: ${d.reason}`, outcome: 'not-started' },
  SANDBOX_JOURNAL: { message: (d: { verb: string; index: number }) => `element ${d.index} was run again after its sandbox died and called ${d.verb} where it had called something else; its first calls may have had effects. Make the function deterministic up to its calls`, outcome: 'unknown' },
  SANDBOX_RERUNS: { message: (d: { reruns: number }) => `parts of this chunk kept killing the sandbox; given up after ${d.reruns} runs`, outcome: 'unknown' },
  SANDBOX_RESULT_BYTES: { message: (d: { bytes: number; bytesMax: number }) => `the result takes ${d.bytes} bytes, more than the ${d.bytesMax} allowed; return less, or raise resultBytes` },
  SANDBOX_HOST_CALL: { message: (d: { reason: string }) => `a call from the sandbox failed: ${d.reason}` },
  SANDBOX_HOST_CALLS: { message: (d: { hostCalls: number }) => `the function made more than ${d.hostCalls} calls to the system; do more per call, or split the work` },
  SANDBOX_HOST_CALL_BYTES: { message: (d: { verb: string; bytes: number; bytesMax: number }) => `the arguments of ${d.verb} take ${d.bytes} bytes, more than the ${d.bytesMax} allowed; pass less, or pass it in parts` },
  SANDBOX_CALL_AFTER_END: { message: (d: { verb: string }) => `${d.verb} was called after the function had returned; await it inside the function` },
  SANDBOX_TIMERS: { message: (d: { timersMax: number }) => `the function has ${d.timersMax} timers pending, the most allowed; wait for some first` },
  SANDBOX_NO_ELEMENT: { message: (d: { kind: string }) => `the collection of ${d.kind} has no element there` },
  SANDBOX_NOT_A_NUMBER: { message: (d: { verb: string; got: string }) => `d${d.verb} needs numbers, got ${d.got}; map to numbers first` },
  SANDBOX_PACKAGE_MISSING: { message: (d: { name: string; version: string; directory: string }) => `the function uses the npm package ${d.name}@${d.version}, which is not installed on this node; install it there: npm install --prefix ${d.directory} ${d.name}@${d.version}`, outcome: 'not-started' },
  SANDBOX_PACKAGE_VERSION: { message: (d: { name: string; version: string; found: string }) => `the function uses ${d.name}@${d.version}, but this node has ${d.found}; install the same version on both`, outcome: 'not-started' },
  SANDBOX_PACKAGE_BROKEN: { message: (d: { name: string; version: string; reason: string }) => `the npm package ${d.name}@${d.version} cannot run in a sandbox: ${d.reason}`, outcome: 'not-started' },

  // plan
  INTERNAL: { message: (d: { reason: string }) => `a part of kumoi failed on its own account: ${d.reason}; report it with the stack`, outcome: 'unknown' },
  BAD_MESSAGE: { message: (d: { what: string }) => `a peer sent a malformed record (${d.what}); both sides must run compatible versions of kumoi` },
  BAD_ANSWER: { message: (d: { node: string }) => `${d.node} answered for other elements than it was asked; its answer was dropped`, outcome: 'unknown' },
  NODE_GONE: { message: (d: { node: string; why: string }) => `${d.node} cannot be reached: ${d.why}`, retryable: true, outcome: 'unknown' },
  NO_NODES: { message: (_: object) => 'no node is left to run on', retryable: true, outcome: 'not-started' },
  RUN_TIMEOUT: { message: (d: { timeoutMs: number }) => `no outcome within ${d.timeoutMs} ms; raise the timeout (--timeout, { timeoutMs }) if the function needs longer`, outcome: 'unknown' },
  RUN_CANCELLED: { message: (_: object) => 'cancelled by the caller', outcome: 'unknown' },
  MISSING_BLOB: { message: (d: { hash: string }) => `code or captured values ${d.hash.slice(0, 12)} were asked for and not delivered`, retryable: true, outcome: 'not-started' },
  INPUT_FAILED: { message: (d: { index: number; reason: string }) => `the input threw at element ${d.index}: ${d.reason}` },
  MAP_FAILED: { message: (d: { failed: number; total: number; first: string }) => `${d.failed} of ${d.total} failed; first: ${d.first}` },
  RESULTS_TOO_LARGE: { message: (d: { bytes: number; bytesMax: number }) => `the results of one chunk, ${d.bytes} bytes more, do not fit into a message of ${d.bytesMax} bytes; return less per element, or store it and return where` },
  NOT_ITERABLE: { message: (d: { got: string }) => `from() needs something to iterate over, got ${d.got}; pass an array, a Set, a generator or an async iterable`, outcome: 'not-started' },
  BAD_RANGE: { message: (d: { from: string; to: string; step: string }) => `range(${d.from}, ${d.to}, ${d.step}) is no range; give finite numbers and a step other than 0`, outcome: 'not-started' },
  NOT_A_FUNCTION: { message: (d: { verb: string; got: string }) => `${d.verb} needs a function, got ${d.got}` },
  BAD_OPTION: {
    message: (d: { option: string; got?: string; wanted: string }) =>
      d.got === undefined ? `there is no option ${d.option}; use ${d.wanted}` : `option ${d.option} must be ${d.wanted}, got ${d.got}`,
  },
  NO_SUCH_ELEMENT: { message: (d: { index: number; length: number }) => `there is no element ${d.index}: the collection has ${d.length}` },
})
