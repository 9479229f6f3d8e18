// A sandbox without cells for the tests of who calls it: programs run in this process, element by element, and a test says by
// what a function throws how its element ends ({ kill: true }: it takes its cell along).

import type { Failure, Job, JobHooks, JobResult, ResultRun, Sandbox } from '../../functions/contract.ts'
import { decodeValue, encodeValue } from '../../functions/value/mod.ts'

export function fakeSandbox(tell: (count: number) => void = () => {}): Sandbox {
  let closed = false
  return {
    async run(job: Job, hooks: JobHooks, signal: AbortSignal): Promise<JobResult> {
      if (job.input.type !== 'items') throw new Error('items only')
      tell(job.input.count)
      const [stage] = job.stages
      if (stage === undefined) throw new Error('no stage')
      const program = new Function('environment', 'runtime', `return (${new TextDecoder().decode(job.blob(stage.code))})(environment, runtime)`)
      const fn = program(new Uint8Array(0), {}) as (item: unknown) => unknown
      const items = decodeValue(job.input.bytes) as unknown[]
      let timer: NodeJS.Timeout | undefined
      const ended = new Promise<'over'>((resolve) => {
        timer = setTimeout(() => resolve('over'), job.limits.timeoutMs)
        signal.addEventListener('abort', () => { clearTimeout(timer); resolve('over') }, { once: true })
        if (signal.aborted || closed) resolve('over')
      })
      const told = (run: ResultRun): ResultRun => {
        if (job.early === true) hooks.settled?.(job.baseIndex + run.from, 'failure' in run ? run : { values: run.values })
        return run
      }
      const runs = await Promise.all(items.map(async (item, from): Promise<ResultRun> => {
        const fail = (failure: Failure): ResultRun => ({ from, count: 1, failure })
        try {
          const value = await Promise.race([(async () => fn(item))(), ended])
          if (value === 'over') return fail({ status: signal.aborted ? 'cancelled' : 'timeout', error: { code: 'FUNCTIONS_ERR_SANDBOX_TIMEOUT', message: 'over' }, mayHaveRun: true })
          return { from, count: 1, outputs: 1, values: encodeValue([value]) }
        } catch (error) {
          if ((error as { kill?: boolean }).kill === true) return fail({ status: 'crash', error: { code: 'FUNCTIONS_ERR_SANDBOX_CRASH', message: 'died' }, mayHaveRun: true })
          return fail({ status: 'error', error: { code: 'FUNCTIONS_ERR_THROWN', message: (error as Error).message }, mayHaveRun: true })
        }
      }).map((run) => run.then(told)))
      clearTimeout(timer)
      return { runs, cpuMs: 1, wallMs: 1, decided: false }
    },
    warm: async () => {}, stats: () => ({ cells: [], quarantined: [] }), close: async () => { closed = true },
  }
}
