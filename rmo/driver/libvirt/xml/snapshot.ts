// <domainsnapshot> both ways. Pure. Source: libvirt's formatsnapshot.

import { RMO } from '../../../errors.ts'
import type { DomainState, SnapshotRecord } from '../../contract.ts'
import { attributeOf, element, find, isXmlText, parseXml, textOf, writeXml } from './tree.ts'

/** What a snapshot's text says; `current` and, in old texts, the domain are asked for with calls. */
export type ReadSnapshot = Omit<SnapshotRecord, 'current'>

export interface SnapshotWish {
  readonly name: string
  readonly content: 'disk' | 'memory'
  readonly description?: string
  /** Targets of disks that cannot take an internal snapshot (raw, CD-ROM) and are left out of it. */
  readonly leftOut?: readonly string[]
}

/** Internal snapshots: they live in the qcow2 files, so that reverting and deleting need no other file. */
export function snapshotXml(wish: SnapshotWish): string {
  for (const [path, text] of Object.entries({ name: wish.name, description: wish.description ?? '' })) {
    if (!isXmlText(text)) throw RMO.ARGUMENT_INVALID({ call: 'snapshot', path, expected: 'text without control characters', got: JSON.stringify(text.slice(0, 80)) })
  }
  const disks = (wish.leftOut ?? []).map((name) => element('disk', { name, snapshot: 'no' }))
  return writeXml(element('domainsnapshot', {}, [
    element('name', {}, [wish.name]),
    wish.description === undefined ? undefined : element('description', {}, [wish.description]),
    element('memory', { snapshot: wish.content === 'memory' ? 'internal' : 'no' }),
    disks.length === 0 ? undefined : element('disks', {}, disks),
  ]))
}

const STATES: Readonly<Record<string, DomainState>> = {
  running: 'running', blocked: 'running', paused: 'paused', pmsuspended: 'paused', shutdown: 'stopping', shutoff: 'stopped', crashed: 'crashed',
}

/** @throws RMO_ERR_DEFINITION_INVALID */
export function readSnapshot(xml: string): ReadSnapshot {
  const root = parseXml(xml, 'a snapshot')
  if (root.name !== 'domainsnapshot') throw RMO.DEFINITION_INVALID({ what: 'a snapshot', reason: `its root element is "${root.name}"` })
  const state = textOf(root, 'state') ?? ''
  const memory = attributeOf(find(root, 'memory'), 'snapshot')
  const parent = textOf(root, 'parent', 'name')
  const description = textOf(root, 'description')
  const createdAtMs = Number(textOf(root, 'creationTime') ?? '0') * 1000
  return {
    name: textOf(root, 'name') ?? '',
    domain: (textOf(root, 'domain', 'uuid') ?? '').trim(),
    createdAtMs: Number.isSafeInteger(createdAtMs) ? createdAtMs : 0,
    // "disk-snapshot": of a running domain, its disks only; to revert to it gives a stopped one.
    state: STATES[state] ?? 'stopped',
    content: memory === 'internal' || memory === 'external' ? 'memory' : 'disk',
    ...parent === undefined ? {} : { parent },
    ...description === undefined || description === '' ? {} : { description },
  }
}
