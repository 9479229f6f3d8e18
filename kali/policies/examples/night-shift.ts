// A policy of one's own from nothing but 'kumoi': groups have as many members as they may by day, and as few by night. Simulate
// it, deploy it, then name it in a pool's policies; it decides, and the pool carries out what is safe:
//
//   kumoi simulate night-shift.ts --pools 1 --group 8
//   kumoi deploy night-shift.ts
//   kumoi pool set web --policy night-shift --policy kali-ha

import { defineFunction } from 'kumoi'

export default defineFunction({
  name: 'night-shift', description: 'Members by the clock', trigger: { every: '30s' }, singleton: true, rights: ['pool:read', 'pool:operate'],
  async run({ pools, log }) {
    for (const pool of await pools) {
      const [snapshot, kept] = await Promise.all([pool.snapshot(), pool.memory('night-shift')])
      if (!snapshot.pool.policies.includes('night-shift')) continue
      const hour = new Date(snapshot.atMs).getUTCHours(), isDay = hour >= 8 && hour < 18
      const proposals = []
      for (const { uuid: group, name, spec } of snapshot.groups) {
        const members = snapshot.vms.filter((vm) => vm.group === group && vm.desired === 'running')
        const wanted = isDay ? spec.max : spec.min, reason = `${hour} o'clock: ${wanted} members, and there are ${members.length}`
        const last = members.findLast((vm) => vm.name.startsWith(`${name}-`))
        if (members.length < wanted) proposals.push({ action: { do: 'grow' as const, group, member: String(members.length) }, reason })
        if (members.length > wanted && last !== undefined) proposals.push({ action: { do: 'shrink' as const, group, vm: last.uuid }, reason })
      }
      if (proposals.length === 0) continue
      const { results } = await pool.act({ policy: 'night-shift', round: kept?.round ?? 0, memory: null, proposals })
      for (const { outcome, reason } of results) log.info(`${outcome}: ${reason}`)
    }
  },
})
