// Elastic groups ahead of their load: a straight line through the last five minutes (least squares) says what the load will be
// when a member that is asked for now is ready. Never fewer than the load of now asks for; all the rest as in kali-elasticity.

import { defineFunction } from 'kumoi'
import { elasticity } from '../elasticity.ts'
import { forecast } from '../forecast.ts'
import { policyFunction } from '../policy.ts'

const AHEAD_MS = 120_000
const decide = elasticity({
  wish: ({ atMs, load, history, group: { spec } }) => Math.ceil(Math.max(load, forecast([...history, { atMs, load }], atMs + AHEAD_MS)) / (spec.out - spec.margin)),
})

export default defineFunction(policyFunction('predictive', decide, { description: 'Members for the load in two minutes, by a straight line' }))
