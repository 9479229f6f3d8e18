// What a shell or a program loads before its first call: everybody who types `kumoi` waits for it. What only nodes
// run stays out of it (fabric/client.ts, functions/base.ts and rmo/base.ts are the doors).
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'tap'

const ROOT = join(import.meta.dirname, '..', '..')
const PROGRAM = `
import { registerHooks } from 'node:module'
const loaded = []
registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context) } })
await import(process.argv[1])
process.stdout.write(JSON.stringify(loaded))
`

function loadedBy(module: string): readonly string[] {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', PROGRAM, join(ROOT, module)], { encoding: 'utf8', env: { PATH: process.env['PATH'] } })
  if (status !== 0) throw new Error(stderr)
  return (JSON.parse(stdout) as string[]).map((url) => url.replace(`file://${ROOT}/`, ''))
}

test('a shell loads nothing that only a node needs', (t) => {
  const loaded = loadedBy('kali/mod.ts')
  t.ok(loaded.includes('kali/connect.ts'), 'the list is of this tree')
  const nodes = loaded.filter((file) => /^(fabric|functions|rmo)\/mod\.ts$/.test(file)
    || /^fabric\/(store|blob|identity|membership)\//.test(file)
    || /^functions\/(trigger|sandbox|simulate)\//.test(file)
    || /^rmo\/(host|os)\/|^rmo\/driver\/(libvirt|memory|ovs|bridge)\//.test(file)
    || /^kali\/(node|deployed|http)\.ts$/.test(file))
  t.same(nodes, [])
  const heavy = ['esbuild', 'croner', 'etcd3', 'prom-client', 'lmdb', 'sodium-native', 'hyperswarm', 'isolated-vm', 'piscina', 'typescript', 'libvirt']
  t.same(loaded.filter((file) => heavy.some((name) => file.includes(`node_modules/${name}/`))), [])
  t.end()
})
