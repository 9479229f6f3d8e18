// Three machines as network namespaces on one bridge, each with a second interface whose address all of them
// share (as every Docker host has): they join, link, discover each other, survive the founder, and fall back
// to UDX where TCP is blocked. Needs root and iproute2; skips with the reason otherwise.

import { execFileSync } from 'node:child_process'
import { test } from 'tap'
import { forkNode, makeDataDir, until } from '../support/transport-nodes.ts'
import type { NodeProcess } from '../support/transport-nodes.ts'

const PREFIX = 'kc2'
const ip = (...argv: string[]): string => execFileSync('ip', argv, { stdio: ['ignore', 'pipe', 'pipe'] }).toString()

const obstacle = ((): string | false => {
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  try {
    ip('netns', 'add', `${PREFIX}-try`)
    ip('netns', 'del', `${PREFIX}-try`)
    return false
  } catch {
    return 'this machine has no ip, or allows no network namespaces'
  }
})()

const machine = (index: number): { namespace: string; host: string } => ({ namespace: `${PREFIX}-${index}`, host: `10.213.7.${index}` })

function buildLab(count: number): void {
  ip('link', 'add', `${PREFIX}-br`, 'type', 'bridge')
  ip('link', 'set', `${PREFIX}-br`, 'up')
  for (let index = 1; index <= count; index++) {
    const { namespace, host } = machine(index)
    ip('netns', 'add', namespace)
    ip('link', 'add', `${PREFIX}-v${index}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace)
    ip('link', 'set', `${PREFIX}-v${index}`, 'master', `${PREFIX}-br`, 'up')
    ip('-n', namespace, 'link', 'set', 'lo', 'up')
    ip('-n', namespace, 'link', 'add', 'docker0', 'type', 'bridge')
    ip('-n', namespace, 'addr', 'add', '172.17.0.1/16', 'dev', 'docker0')
    ip('-n', namespace, 'link', 'set', 'docker0', 'up')
    ip('-n', namespace, 'addr', 'add', `${host}/24`, 'dev', 'eth0')
    ip('-n', namespace, 'link', 'set', 'eth0', 'up')
  }
}

function removeLab(count: number): void {
  const quietly = (...argv: string[]): void => { try { ip(...argv) } catch { /* it was not there */ } }
  for (let index = 1; index <= count; index++) {
    quietly('netns', 'del', machine(index).namespace)
    quietly('link', 'del', `${PREFIX}-v${index}`)
  }
  quietly('link', 'del', `${PREFIX}-br`)
}

interface Dialled { readonly bytes: number[]; readonly paths: { readonly rpc: string; readonly bulk: string }; readonly error?: string }
interface Links { readonly links: { readonly name: string; readonly gossip: string; readonly rpc: string }[] }

test('machines with several addresses, one of them shared', { skip: obstacle, timeout: 60_000 }, async (t) => {
  const count = 4
  removeLab(count)
  t.teardown(() => removeLab(count))
  buildLab(count)
  const start = async (index: number, name: string, ticket?: string): Promise<NodeProcess> => {
    const { namespace, host } = machine(index)
    return forkNode(t, { dataDir: await makeDataDir(t), name, host, overlay: 'full', ...(ticket === undefined ? {} : { ticket }) }, namespace)
  }
  const ticketOf = async (node: NodeProcess): Promise<string> => (await node.order<{ ticket: string }>({ do: 'ticket' })).ticket

  const alpha = await start(1, 'alpha')
  const beta = await start(2, 'beta', await ticketOf(alpha))
  const gamma = await start(3, 'gamma', await ticketOf(alpha))
  t.match(beta.addresses[0], /^10\.213\.7\.2:/)

  await beta.order<Dialled>({ do: 'dial', id: alpha.id, addresses: alpha.addresses })
  const dialled = await beta.order<Dialled>({ do: 'dial', id: gamma.id, addresses: gamma.addresses })
  t.same(dialled.bytes, [1_000, 1_000_000])
  t.match(dialled.paths, { rpc: 'tcp', bulk: 'tcp' })

  await until(() => gamma.events.some((told) => told.event === 'found' && told.id === beta.id) || beta.events.some((told) => told.event === 'found' && told.id === gamma.id))
  t.pass('members find each other through the private overlay')
  await until(async () => (await beta.order<Links>({ do: 'links' })).links.some((link) => link.name === 'gamma' && link.gossip === 'udx'))
  t.pass('and gossip goes over to its stream')

  alpha.child.kill('SIGKILL')
  await until(() => beta.events.some((told) => told.event === 'end' && told.id === alpha.id))
  t.equal(beta.events.find((told) => told.event === 'end' && told.id === alpha.id)?.why, 'reset', 'a killed founder is noticed by its sockets')

  // TCP out of the fourth machine is forbidden: only UDX is left, both for joining and for the link.
  ip('-n', machine(4).namespace, 'rule', 'add', 'pref', '1', 'ipproto', 'tcp', 'prohibit')
  const delta = await start(4, 'delta', await ticketOf(beta))
  const relayed = await delta.order<Dialled>({ do: 'dial', id: gamma.id, addresses: gamma.addresses })
  t.equal(relayed.error, undefined)
  t.same(relayed.bytes, [1_000, 1_000_000])
  t.match(relayed.paths, { gossip: 'udx', rpc: 'udx', bulk: 'udx' })
})
