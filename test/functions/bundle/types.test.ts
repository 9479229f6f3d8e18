// The type check of a deploy: errors in the user's lines, in the world of the sandbox.

import t from 'tap'
import { buildFiles, functionFile, type Files } from '../../support/bundles.ts'

const check = (files: Files): Promise<{ readonly code?: string; readonly message: string; readonly warnings?: readonly string[] }> =>
  buildFiles(files, { types: 'check' }).then(({ warnings }) => ({ message: 'built', warnings }), (error: unknown) => error as { code: string; message: string })

t.test('what run() is given is typed', async (t) => {
  t.match(await check({ 'hot.ts': functionFile(`async ({ pms, vms, range, from, load, fn, log, state, emit, secrets, signal, call }, payload: { readonly limit: number }) => {
  const names: string[] = await pms.dmap(pm => pm.name)
  const busy = await vms.dfilter(vm => vm.cpuRatio > payload.limit)
  const cores: number[] = await pms.dmap(async pm => (await pm.info()).cpuCount).catch?.(() => []) ?? []
  const squares: number[] = await range(3).dmap(n => n * n)
  await from(['a']).dforEach(text => text.toUpperCase())
  const answer = await fn<{ ok: boolean }>('other')({ names }); const later: string = await fn('other').enqueue({ names })
  log.info({ busy: busy.length }); log.warn('text', { answer: answer.ok })
  const count = await state.update<number>('count', n => (n ?? 0) + 1)
  await state.put('x', [1, 2]); const kept = await state.get<number[]>('x')
  emit('hot', { count, kept }); const token: string = await secrets.get('token')
  signal.throwIfAborted(); const id: string = call.id; const epoch: number | null = call.epoch
  setTimeout(() => console.log(token, id, epoch, later, load, cores, squares), 1)
  return new TextEncoder().encode(token)
}`).replace('.catch?.(() => []) ?? []', '').replace('(await pm.info()).cpuCount', 'pm.cpuRatio') }), { message: 'built', warnings: [] })
})

t.test('errors are told in the user\'s lines', async (t) => {
  const error = await check({
    'hot.ts': functionFile('async ({ pms, log }) => {\n  log.inform("x")\n  void [document, lib]\n  return pms.dmap(pm => pm.nmae)\n}', 'import { lib } from \'./lib.ts\'').replace('name:', 'nam:'), 'lib.ts': 'export const lib: string = 1\n',
  })
  t.match(error, { code: 'FUNCTIONS_ERR_BUNDLE_TYPES', message: /^hot\.ts has 5 type errors; the first: hot\.ts:3:\d+: TS\d+: .*'nam' does not exist.*Mend them, or deploy with --no-check$/, details: { errors: 5 } })
  const { problems } = (error as unknown as { details: { problems: string[] } }).details
  const told = (place: RegExp): void => { t.ok(problems.some((problem) => place.test(problem)), `${place}`) }
  told(/^hot\.ts:4:7: TS\d+: Property 'inform' does not exist/)
  told(/^hot\.ts:5:9: TS\d+: Cannot find name 'document'/)
  told(/^hot\.ts:6:28: TS\d+: Property 'nmae' does not exist/)
  told(/^lib\.ts:1:14: TS2322/)
})

t.test('JavaScript is not checked', async (t) => {
  t.match(await check({ 'hot.mjs': functionFile('({ pms }) => pms.nothing.of(it)') }), { message: 'built', warnings: [] })
})

t.test('a syntax error is told once, by the bundler', async (t) => {
  t.match(await check({ 'hot.ts': 'export default (' }), { code: 'FUNCTIONS_ERR_BUNDLE_FAILED' })
})
