// Program for the orphan test: opens two cells, sticks one in a builtin, prints their process ids and waits.

import { makeHooks, makeJob, never, openSandbox } from './sandbox.ts'

const { sandbox } = await openSandbox({ spareCells: 0 })
await sandbox.warm('idle')
const begun = new Promise<void>((resolve) => {
  const hooks = { ...makeHooks(), console: () => resolve() }
  const source = '() => { console.log("begun"); const list = []; list.length = 2 ** 32 - 1; list[7] = 1; list.sort() }'
  void sandbox.run(makeJob({ source }, { principal: 'stuck', limits: { timeoutMs: 60_000 } }), hooks, never)
})
await begun
console.log(JSON.stringify(sandbox.stats().cells.map(({ pid }) => pid)))
setInterval(() => {}, 1_000)
