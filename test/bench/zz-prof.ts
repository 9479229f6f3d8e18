// scratch
import { openFabric, machineOf } from './fabric.ts'
import { low, timed, withScope } from './figure.ts'
await withScope(async (scope) => {
  const { dc, nodes } = await openFabric(scope, ['alpha', 'beta'])
  const beta = await machineOf(dc, 'beta'), alpha = await machineOf(dc, 'alpha')
  const f = (pm: { readonly name: string }) => pm.name
  console.log(nodes.map((n) => [n.name, n.pid]))
  for (let i = 0; i < 6; i++) {
    const b = await timed(500, () => dc.from([beta]).dmap(f))
    const a = await timed(500, () => dc.from([alpha]).dmap(f))
    const r = await timed(500, () => dc.range(1).dmap((x) => x + 1))
    console.log('beta', low(b), 'alpha', low(a), 'range', low(r))
  }
})
process.exit(0)
