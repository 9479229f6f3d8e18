// d-verbs inside deployed functions: real cells, two nodes. What a shell can do with a collection, a function can.

import t from 'tap'
import { openFunctionNodes } from '../../support/function-nodes.ts'

const world = await openFunctionNodes(2)
t.teardown(() => world.close())
const values = async (body: string, settings: Parameters<typeof world.invoke>[1] = {}, before = ''): Promise<unknown[]> => {
  const version = await world.deploy(`import { defineFunction, range, from } from 'kumoi'\n${before}\nexport default defineFunction({ name: 'tested', async run({ pms, vms, range: numbers, from: items, log, call, emit, state, fn, secrets }, payload) { ${body} } })\n`)
  return (await world.invoke(version, settings)).seen.map((each) => (each.status === 'value' ? each.value : { status: each.status, code: each.code, message: each.message }))
}

t.test('the body of hot.ts', async (t) => {
  t.same(await values('const limit = 0.9; const hot = await pms.dmap(pm => pm.vms.filter(vm => vm.cpuRatio > limit)).flat(); return hot.map(vm => vm.name)'), [['vm03', 'vm13']])
  t.ok(world.nodes[1]!.jobs.length > 0, 'the other node ran its part')
})

t.test('every verb, on every source', async (t) => {
  t.same(await values(`return [
    await range(10).dmap(n => n * 2).dfilter(n => n % 3 === 0),
    await items(['a', 'bb', 'ccc']).dmap((text, i) => text.length + i),
    await numbers(0, 6, 2).dflatMap(n => [n, -n]),
    await range(1, 5).dreduce((a, b) => a * b), await range(4).dfold('', (a, b) => a + b),
    await range(10).dcount(n => n > 6), await range(7).dcount(), await range(10).dsome(n => n === 9), await range(10).devery(n => n < 9), await range(10).dfind(n => n > 3),
    [...await range(5).dgroupBy(n => n % 2)], await range(5).dsum(), await range(5).dmin(n => -n), await range(5).dmax(),
    (await pms.dmap(async pm => (await pm.exec('x')).principal.slice(0, 10))), await vms.dfilter(vm => vm.cpuRatio > 0.9).map(vm => vm.name),
    await (await pms.at(1)).vms.dmap(vm => vm.name), await range(3).map(n => n + 1).dmap(n => n * n), await from([]).dmap(n => n), await from([]).dsum(),
  ]`), [[
    [0, 6, 12, 18], [1, 3, 5], [0, 0, 2, -2, 4, -4], 24, '0123', 3, 7, true, false, 4, [[0, [0, 2, 4]], [1, [1, 3]]], 10, -4, 4,
    ['fn:tested@', 'fn:tested@'], ['vm03', 'vm13'], ['vm11', 'vm12', 'vm13'], [1, 4, 9], [], 0,
  ]])
})
