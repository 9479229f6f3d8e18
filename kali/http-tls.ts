// The certificate of the HTTP door: read from its two files, and read again when they change. A pair that cannot be used never
// takes the place of one that can: renewing a certificate writes two files, one after the other.
// TLS 1.2 at least, by RFC 9325.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { isIP } from 'node:net'
import type { SecureContextOptions } from 'node:tls'
import { LIMITS } from '../fabric/base.ts'
import type { Clock, Timer } from '../fabric/base.ts'
import { KALI } from './errors.ts'

export interface TlsFiles { readonly cert: string; readonly key: string }

export interface TlsPair {
  readonly context: SecureContextOptions
  /** Whether the certificate is for this host (RFC 6125). */
  names(host: string): boolean
  readonly endsMs: number
}

export const TLS_VERSION = 'TLSv1.2'

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Rejects with HTTP_CERTIFICATE. */
export async function readPair({ cert, key }: TlsFiles): Promise<TlsPair> {
  const invalid = (file: string, reason: string): Error => KALI.HTTP_CERTIFICATE({ file, reason })
  const [certPem, keyPem] = await Promise.all([cert, key].map((file) => readFile(file, 'utf8').catch((error: unknown) => { throw invalid(file, reasonOf(error)) }))) as [string, string]
  let certificate: X509Certificate
  try { certificate = new X509Certificate(certPem) } catch (error) { throw invalid(cert, reasonOf(error)) }
  let fits: boolean
  try { fits = certificate.checkPrivateKey(createPrivateKey(keyPem)) } catch (error) { throw invalid(key, reasonOf(error)) }
  if (!fits) throw invalid(key, 'it is not the key of that certificate')
  return {
    context: { cert: certPem, key: keyPem, minVersion: TLS_VERSION }, endsMs: Date.parse(certificate.validTo),
    names: (host) => (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined,
  }
}

export interface FollowOptions {
  readonly files: TlsFiles
  readonly clock: Clock
  readonly changed: (pair: TlsPair) => void
  readonly warn: (message: string, fields: Readonly<Record<string, unknown>>) => void
}

/** Looks at the files every LIMITS.httpCertificateLookMs; gives what ends that, and what looks at once. */
export function followPair({ files, clock, changed, warn }: FollowOptions): { look(): Promise<void>; stop(): void } {
  let timer: Timer | undefined
  let stopped = false
  let seen: string | undefined
  const stamp = async (): Promise<string> => (await Promise.all([files.cert, files.key].map(async (file) => {
    const { mtimeMs, size, ino } = await stat(file)
    return `${mtimeMs} ${size} ${ino}`
  }))).join(' ')
  const look = async (): Promise<void> => {
    try {
      const now = await stamp()
      if (seen !== undefined && seen !== now) changed(await readPair(files))
      // Only once it could be used: half of a pair is looked at again.
      seen = now
    } catch (error) {
      warn('the certificate of the HTTP door cannot be renewed; the one before stays', { reason: reasonOf(error) })
    }
  }
  const plan = (): void => {
    if (stopped) return
    timer = clock.after(LIMITS.httpCertificateLookMs, () => void look().then(plan), { background: true })
  }
  void look()
  plan()
  return { look, stop() { stopped = true; timer?.cancel() } }
}
