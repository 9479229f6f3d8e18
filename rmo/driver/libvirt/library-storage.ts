// libvirt's storage and network functions (libvirt-storage.h, libvirt-network.h) for library.ts.

import { c } from './declare.ts'
import type { Pointer } from './operation.ts'

type P = Pointer
type Out = (P | null)[]

export const storageDeclarations = {
  virConnectListAllStoragePools: c<(connection: P, pools: Out, flags: number) => number>('int virConnectListAllStoragePools(void *connection, _Out_ void **pools, uint flags)'),
  virStoragePoolLookupByUUIDString: c<(connection: P, uuid: string) => P | null>('void *virStoragePoolLookupByUUIDString(void *connection, str uuid)'),
  virStoragePoolLookupByName: c<(connection: P, name: string) => P | null>('void *virStoragePoolLookupByName(void *connection, str name)'),
  virStoragePoolFree: c<(pool: P) => number>('int virStoragePoolFree(void *pool)'),
  virStoragePoolGetName: c<(pool: P) => string | null>('const char *virStoragePoolGetName(void *pool)'),
  virStoragePoolGetUUIDString: c<(pool: P, text: Uint8Array) => number>('int virStoragePoolGetUUIDString(void *pool, _Out_ uint8_t *text)'),
  virStoragePoolGetXMLDesc: c<(pool: P, flags: number) => string | null>('str! virStoragePoolGetXMLDesc(void *pool, uint flags)'),
  virStoragePoolGetInfo: c<(pool: P, info: Uint8Array) => number>('int virStoragePoolGetInfo(void *pool, _Out_ uint8_t *info)'),
  virStoragePoolIsActive: c<(pool: P) => number>('int virStoragePoolIsActive(void *pool)'),
  virStoragePoolGetAutostart: c<(pool: P, autostart: number[]) => number>('int virStoragePoolGetAutostart(void *pool, _Out_ int *autostart)'),
  virStoragePoolSetAutostart: c<(pool: P, autostart: number) => number>('int virStoragePoolSetAutostart(void *pool, int autostart)'),
  virStoragePoolDefineXML: c<(connection: P, xml: string, flags: number) => P | null>('void *virStoragePoolDefineXML(void *connection, str xml, uint flags)'),
  virStoragePoolBuild: c<(pool: P, flags: number) => number>('int virStoragePoolBuild(void *pool, uint flags)'),
  virStoragePoolCreate: c<(pool: P, flags: number) => number>('int virStoragePoolCreate(void *pool, uint flags)'),
  virStoragePoolDestroy: c<(pool: P) => number>('int virStoragePoolDestroy(void *pool)'),
  virStoragePoolUndefine: c<(pool: P) => number>('int virStoragePoolUndefine(void *pool)'),
  virStoragePoolRefresh: c<(pool: P, flags: number) => number>('int virStoragePoolRefresh(void *pool, uint flags)'),
  virStoragePoolListAllVolumes: c<(pool: P, volumes: Out, flags: number) => number>('int virStoragePoolListAllVolumes(void *pool, _Out_ void **volumes, uint flags)'),

  virStorageVolLookupByName: c<(pool: P, name: string) => P | null>('void *virStorageVolLookupByName(void *pool, str name)'),
  virStorageVolLookupByPath: c<(connection: P, path: string) => P | null>('void *virStorageVolLookupByPath(void *connection, str path)'),
  virStorageVolFree: c<(volume: P) => number>('int virStorageVolFree(void *volume)'),
  virStorageVolGetName: c<(volume: P) => string | null>('const char *virStorageVolGetName(void *volume)'),
  virStorageVolGetXMLDesc: c<(volume: P, flags: number) => string | null>('str! virStorageVolGetXMLDesc(void *volume, uint flags)'),
  virStorageVolCreateXML: c<(pool: P, xml: string, flags: number) => P | null>('void *virStorageVolCreateXML(void *pool, str xml, uint flags)'),
  virStorageVolCreateXMLFrom: c<(pool: P, xml: string, source: P, flags: number) => P | null>('void *virStorageVolCreateXMLFrom(void *pool, str xml, void *source, uint flags)'),
  virStorageVolResize: c<(volume: P, capacityBytes: number, flags: number) => number>('int virStorageVolResize(void *volume, uint64_t capacity, uint flags)'),
  virStorageVolDelete: c<(volume: P, flags: number) => number>('int virStorageVolDelete(void *volume, uint flags)'),
  virStorageVolUpload: c<(volume: P, stream: P, offset: number, length: number, flags: number) => number>('int virStorageVolUpload(void *volume, void *stream, uint64_t offset, uint64_t length, uint flags)'),

  virConnectListAllNetworks: c<(connection: P, networks: Out, flags: number) => number>('int virConnectListAllNetworks(void *connection, _Out_ void **networks, uint flags)'),
  virNetworkLookupByUUIDString: c<(connection: P, uuid: string) => P | null>('void *virNetworkLookupByUUIDString(void *connection, str uuid)'),
  virNetworkFree: c<(network: P) => number>('int virNetworkFree(void *network)'),
  virNetworkGetName: c<(network: P) => string | null>('const char *virNetworkGetName(void *network)'),
  virNetworkGetUUIDString: c<(network: P, text: Uint8Array) => number>('int virNetworkGetUUIDString(void *network, _Out_ uint8_t *text)'),
  virNetworkGetXMLDesc: c<(network: P, flags: number) => string | null>('str! virNetworkGetXMLDesc(void *network, uint flags)'),
  virNetworkIsActive: c<(network: P) => number>('int virNetworkIsActive(void *network)'),
  virNetworkIsPersistent: c<(network: P) => number>('int virNetworkIsPersistent(void *network)'),
  virNetworkGetAutostart: c<(network: P, autostart: number[]) => number>('int virNetworkGetAutostart(void *network, _Out_ int *autostart)'),
  virNetworkSetAutostart: c<(network: P, autostart: number) => number>('int virNetworkSetAutostart(void *network, int autostart)'),
  virNetworkDefineXML: c<(connection: P, xml: string) => P | null>('void *virNetworkDefineXML(void *connection, str xml)'),
  virNetworkCreate: c<(network: P) => number>('int virNetworkCreate(void *network)'),
  virNetworkDestroy: c<(network: P) => number>('int virNetworkDestroy(void *network)'),
  virNetworkUndefine: c<(network: P) => number>('int virNetworkUndefine(void *network)'),
} as const
