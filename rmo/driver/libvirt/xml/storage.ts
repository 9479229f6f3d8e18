// <pool> and <volume> both ways. Pure. Source: libvirt's formatstorage. Sizes are bytes.
//
// An overlay is a volume with a backing store: the hypervisor's qemu-img writes a header that names the file, no data.
// A refresh of the pool reads it back, so a backing file that somebody changed with qemu-img shows too.

import { RMO } from '../../../errors.ts'
import type { PoolRecord, VolumeRecord, VolumeWish } from '../../contract.ts'
import { attributeOf, element, find, isXmlText, parseXml, textOf, writeXml } from './tree.ts'
import type { XmlElement } from './tree.ts'

/** What a pool's text says; the rest of a PoolRecord is asked for with calls. */
export type ReadPool = Pick<PoolRecord, 'uuid' | 'name' | 'type' | 'path'>
/** What a volume's text says; its uuid and pool are not in it. */
export type ReadVolume = Omit<VolumeRecord, 'uuid' | 'pool'>

export function poolXml(pool: { readonly uuid?: string; readonly name: string; readonly path: string }): string {
  return writeXml(element('pool', { type: 'dir' }, [
    element('name', {}, [fileName(pool.name, 'definePool')]),
    pool.uuid === undefined ? undefined : element('uuid', {}, [pool.uuid]),
    element('target', {}, [element('path', {}, [checked(pool.path, 'definePool', 'path')])]),
  ]))
}

/** @throws RMO_ERR_DEFINITION_INVALID */
export function readPool(xml: string): ReadPool {
  const root = parseRoot(xml, 'pool')
  const type = attributeOf(root, 'type')
  return {
    uuid: (textOf(root, 'uuid') ?? '').trim(),
    name: textOf(root, 'name') ?? '',
    type: type === 'dir' || type === 'netfs' ? type : 'other',
    path: textOf(root, 'target', 'path') ?? '',
  }
}

/** `capacityBytes` left out: that of the backing file, which the caller has looked up. */
export function volumeXml(wish: VolumeWish & { readonly capacityBytes: number }): string {
  const { backing } = wish
  return writeXml(element('volume', {}, [
    element('name', {}, [fileName(wish.name, 'createVolume')]),
    element('capacity', { unit: 'bytes' }, [String(wish.capacityBytes)]),
    element('allocation', { unit: 'bytes' }, ['0']),
    element('target', {}, [
      element('format', { type: wish.format }),
      wish.format === 'qcow2' ? element('compat', {}, ['1.1']) : undefined,
    ]),
    backing === undefined ? undefined : element('backingStore', {}, [
      element('path', {}, [checked(backing.path, 'createVolume', 'backing.path')]),
      element('format', { type: backing.format }),
    ]),
  ]))
}

/** @throws RMO_ERR_DEFINITION_INVALID */
export function readVolume(xml: string): ReadVolume {
  const root = parseRoot(xml, 'volume')
  const format = attributeOf(find(root, 'target', 'format'), 'type')
  const path = textOf(root, 'target', 'path') ?? textOf(root, 'key') ?? ''
  const backingPath = textOf(root, 'backingStore', 'path')
  return {
    name: textOf(root, 'name') ?? '',
    path,
    format: format === 'qcow2' || format === 'raw' || format === 'iso' ? format : 'other',
    capacityBytes: bytesOf(find(root, 'capacity')),
    allocationBytes: bytesOf(find(root, 'allocation')),
    ...backingPath === undefined || backingPath === '' ? {} : { backingPath },
  }
}

/** libvirt writes bytes; other units only stand in texts by hand. */
function bytesOf(size: XmlElement | undefined): number {
  const bytes = Number(textOf(size) ?? '0')
  return Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : 0
}

function parseRoot(xml: string, name: 'pool' | 'volume'): XmlElement {
  const root = parseXml(xml, `a ${name}`)
  if (root.name !== name) throw RMO.DEFINITION_INVALID({ what: `a ${name}`, reason: `its root element is "${root.name}"` })
  return root
}

const NAME_BYTES_MAX = 255
/** Pools and volumes are files by their names. */
function fileName(name: string, call: string): string {
  if (!name.includes('/') && name !== '.' && name !== '..' && Buffer.byteLength(name) <= NAME_BYTES_MAX) return checked(name, call, 'name')
  throw RMO.ARGUMENT_INVALID({ call, path: 'name', expected: `a file name of at most ${NAME_BYTES_MAX} bytes, without "/"`, got: JSON.stringify(name.slice(0, 80)) })
}

function checked(text: string, call: string, path: string): string {
  if (text !== '' && isXmlText(text)) return text
  throw RMO.ARGUMENT_INVALID({ call, path, expected: 'text, without control characters', got: JSON.stringify(text.slice(0, 80)) })
}
