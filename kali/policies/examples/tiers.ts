// A scheduler of one's own from nothing but 'kumoi': machines that are named after a VM's label "tier" first, then the one with
// most room. It is asked with plain data and answers a machine, or a list with the best first:
//
//   kumoi simulate tiers.ts --pools 1 --scheduler tiers
//   kumoi deploy tiers.ts
//   kumoi pool set web --scheduler function:tiers

import { byRank, defineScheduler } from 'kumoi'

export default defineScheduler({
  name: 'tiers', description: 'Machines of the VM\'s own tier first',
  schedule(vm, pms) {
    const tier = vm.labels['tier']
    const free = pms.filter((pm) => pm.availableFor(vm)).sort(byRank)
    return tier === undefined ? free : [...free.filter((pm) => pm.name.startsWith(tier)), ...free.filter((pm) => !pm.name.startsWith(tier))]
  },
})
