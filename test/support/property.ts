// fast-check, as tests use it. Locally each run tries other cases; under CI the cases are always the same, so that what
// lands does not depend on luck: new counter-examples are found, and kept as examples, where somebody can look at them.

import fc from 'fast-check'

if (process.env['CI'] === 'true') fc.configureGlobal({ seed: 0x6b75_6d6f })

export { fc }
