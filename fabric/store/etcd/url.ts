// The address of an etcd: etcd://host:port,host:port or, over TLS, etcds://...; with user:password@ before the first host, and
// ?ca=FILE&cert=FILE&key=FILE for certificates. Pure.

import { FABRIC } from '../../errors-table.ts'

export interface EtcdAddress {
  /** "http://host:port". */
  readonly endpoints: readonly string[]
  readonly user?: { readonly name: string; readonly password: string }
  /** Files of certificates, in PEM; left out: the system's. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string }
  /** For people: no password in it. */
  readonly description: string
}

const PORT = 2379
const HOST = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?$/
const TLS_FILES = ['ca', 'cert', 'key'] as const

/** Throws FABRIC_ERR_STORE_URL. */
export function parseEtcdUrl(url: string): EtcdAddress {
  const refuse = (reason: string): never => { throw FABRIC.STORE_URL({ url: withoutPassword(url), reason }) }
  const [, scheme = '', credentials, hosts = '', query] = /^(etcds?):\/\/(?:([^@]*)@)?([^/?#]*)\/?(?:\?(.*))?$/.exec(url) ?? refuse('it does not begin with etcd:// or has a path')
  const names = hosts.split(',').map((host) => {
    const [, port = String(PORT)] = HOST.exec(host) ?? refuse(host === '' ? 'a host is missing' : `${host} is no host:port`)
    if (Number(port) < 1 || Number(port) > 65_535) refuse(`${port} is no port`)
    return host.replace(/(?::\d+)?$/, `:${port}`)
  })
  if (new Set(names).size !== names.length) refuse('a host is there twice')
  const [name = '', ...rest] = (credentials ?? '').split(':')
  const parameters = new URLSearchParams(query)
  for (const parameter of parameters.keys()) if (!TLS_FILES.some((known) => known === parameter)) refuse(`it has a parameter ${parameter}`)
  if (scheme === 'etcd' && parameters.size > 0) refuse('certificates need etcds://')
  const files = Object.fromEntries(TLS_FILES.flatMap((file) => { const path = parameters.get(file); return path === null ? [] : [[file, path]] }))
  return {
    endpoints: names.map((host) => `${scheme === 'etcds' ? 'https' : 'http'}://${host}`),
    ...(credentials === undefined ? {} : { user: { name: decoded(name, refuse), password: decoded(rest.join(':'), refuse) } }),
    ...(scheme === 'etcds' ? { tls: files } : {}),
    description: `etcd at ${names.join(', ')}`,
  }
}

const decoded = (text: string, refuse: (reason: string) => never): string => { try { return decodeURIComponent(text) } catch { return refuse('user or password is not percent-encoded') } }
const withoutPassword = (url: string): string => url.replace(/:[^:/@]*@/, ':***@')
