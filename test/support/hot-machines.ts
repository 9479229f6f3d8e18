// The smallest whole example of a deployed function: a timer, rights, a singleton, a question to all machines, a topic.

export const HOT_MACHINES = `import { defineFunction } from 'kumoi'
export default defineFunction({
  name: 'hot-machines',
  trigger: { every: '5s' },                    // or cron, an RMO event, a topic, HTTP, or only by call
  rights: ['vm:read'],
  singleton: true,                             // at most one runs at a time in the whole fabric
  async run({ pms, log, state, emit }) {
    const hot = await pms.dmap(pm => pm.vms.filter(vm => vm.cpuRatio > 0.9)).flat()
    if (hot.length) emit('hot', hot.map(vm => vm.name))
    log.info({ hot: hot.length })
  },
})
`
