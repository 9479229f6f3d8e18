// Error table of kali/: KALI_ERR_*. ERRORS.md has the same rows.
//
// Messages say what happened, to what, and what to do. Callers compare codes, never text.

import { defineErrors } from '../fabric/base.ts'

export const KALI = defineErrors('KALI_ERR', {
  TRACE_INVALID: { message: (d: { file: string; line: number; expected: string; got: string }) => `${d.file}, line ${d.line}: expected ${d.expected}, got ${d.got}`, outcome: 'not-started' },
  SIMULATE_UNKNOWN: { message: (d: { what: string; name: string; known: string }) => `the simulation has no ${d.what} ${d.name}; it has ${d.known}`, outcome: 'not-started' },
  CLOSED: { message: (_: object) => 'This connection was closed with close(). Call connect() again.', outcome: 'not-started' },
  HTTP_ADDRESS: { message: (d: { readonly address: string }) => `"${d.address}" is no address for the HTTP door. Give PORT, HOST:PORT or [IPV6]:PORT; without a host it is this machine only.`, outcome: 'not-started' },
  HTTP_LISTEN: { message: (d: { readonly address: string; readonly reason: string }) => `The HTTP door cannot listen on ${d.address}: ${d.reason}. Choose a free port of an address of this machine (--http HOST:PORT).`, outcome: 'not-started' },
  HTTP_TOKEN: { message: (d: { readonly file: string }) => `This needs the header "Authorization: Bearer TOKEN"; the token is in the file ${d.file} of the node's data directory.`, outcome: 'not-started' },
  HTTP_FOREIGN: { message: (d: { readonly header: string }) => `A request from another site was refused: its ${d.header} header names none of the addresses of this door. Ask by the address that the node listens on.`, outcome: 'not-started' },
  HTTP_ROUTE: { message: (_: object) => 'There is nothing here. POST /functions/NAME calls a function; GET /functions, /metrics and /healthz tell what there is.', outcome: 'not-started' },
  HTTP_METHOD: { message: (d: { readonly method: string; readonly allow: string }) => `${d.method} cannot be done here; ${d.allow} can.`, outcome: 'not-started' },
  HTTP_REQUEST: { message: (d: { readonly what: string; readonly expected: string }) => `The request was refused: ${d.what} must be ${d.expected}.`, outcome: 'not-started' },
})
