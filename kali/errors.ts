// Error table of kali/: KALI_ERR_*. ERRORS.md has the same rows.
//
// Messages say what happened, to what, and what to do. Callers compare codes, never text.

import { defineErrors } from '../fabric/base.ts'

export const KALI = defineErrors('KALI_ERR', {
  CLOSED: { message: (_: object) => 'This connection was closed with close(). Call connect() again.', outcome: 'not-started' },
})
