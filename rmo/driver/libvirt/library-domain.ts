// libvirt's domain, snapshot and migration functions (libvirt-domain.h, libvirt-domain-snapshot.h) for library.ts.

import { c } from './declare.ts'
import type { Pointer } from './operation.ts'

type P = Pointer
type Out = (P | null)[]

export const domainDeclarations = {
  virConnectListAllDomains: c<(connection: P, domains: Out, flags: number) => number>('int virConnectListAllDomains(void *connection, _Out_ void **domains, uint flags)'),
  virConnectGetAllDomainStats: c<(connection: P, groups: number, records: Out, flags: number) => number>('int virConnectGetAllDomainStats(void *connection, uint groups, _Out_ void **records, uint flags)'),
  virDomainStatsRecordListFree: c<(records: P) => void>('void virDomainStatsRecordListFree(void *records)'),
  virDomainLookupByUUIDString: c<(connection: P, uuid: string) => P | null>('void *virDomainLookupByUUIDString(void *connection, str uuid)'),
  virDomainLookupByName: c<(connection: P, name: string) => P | null>('void *virDomainLookupByName(void *connection, str name)'),
  virDomainFree: c<(domain: P) => number>('int virDomainFree(void *domain)'),
  virDomainGetUUIDString: c<(domain: P, text: Uint8Array) => number>('int virDomainGetUUIDString(void *domain, _Out_ uint8_t *text)'),
  virDomainGetName: c<(domain: P) => string | null>('const char *virDomainGetName(void *domain)'),
  virDomainGetID: c<(domain: P) => number>('uint virDomainGetID(void *domain)'),
  virDomainGetState: c<(domain: P, state: number[], reason: number[], flags: number) => number>('int virDomainGetState(void *domain, _Out_ int *state, _Out_ int *reason, uint flags)'),
  virDomainGetXMLDesc: c<(domain: P, flags: number) => string | null>('str! virDomainGetXMLDesc(void *domain, uint flags)'),
  virDomainGetAutostart: c<(domain: P, autostart: number[]) => number>('int virDomainGetAutostart(void *domain, _Out_ int *autostart)'),
  virDomainSetAutostart: c<(domain: P, autostart: number) => number>('int virDomainSetAutostart(void *domain, int autostart)'),
  virDomainGetMaxMemory: c<(domain: P) => number | bigint>('ulong virDomainGetMaxMemory(void *domain)'),
  virDomainIsPersistent: c<(domain: P) => number>('int virDomainIsPersistent(void *domain)'),
  virDomainIsActive: c<(domain: P) => number>('int virDomainIsActive(void *domain)'),
  virDomainHasManagedSaveImage: c<(domain: P, flags: number) => number>('int virDomainHasManagedSaveImage(void *domain, uint flags)'),
  virDomainManagedSave: c<(domain: P, flags: number) => number>('int virDomainManagedSave(void *domain, uint flags)'),
  virDomainManagedSaveRemove: c<(domain: P, flags: number) => number>('int virDomainManagedSaveRemove(void *domain, uint flags)'),

  virDomainDefineXMLFlags: c<(connection: P, xml: string, flags: number) => P | null>('void *virDomainDefineXMLFlags(void *connection, str xml, uint flags)'),
  virDomainUndefineFlags: c<(domain: P, flags: number) => number>('int virDomainUndefineFlags(void *domain, uint flags)'),
  virDomainRename: c<(domain: P, name: string, flags: number) => number>('int virDomainRename(void *domain, str name, uint flags)'),
  virDomainCreateWithFlags: c<(domain: P, flags: number) => number>('int virDomainCreateWithFlags(void *domain, uint flags)'),
  virDomainShutdownFlags: c<(domain: P, flags: number) => number>('int virDomainShutdownFlags(void *domain, uint flags)'),
  virDomainReboot: c<(domain: P, flags: number) => number>('int virDomainReboot(void *domain, uint flags)'),
  virDomainDestroyFlags: c<(domain: P, flags: number) => number>('int virDomainDestroyFlags(void *domain, uint flags)'),
  virDomainSuspend: c<(domain: P) => number>('int virDomainSuspend(void *domain)'),
  virDomainResume: c<(domain: P) => number>('int virDomainResume(void *domain)'),
  virDomainAttachDeviceFlags: c<(domain: P, xml: string, flags: number) => number>('int virDomainAttachDeviceFlags(void *domain, str xml, uint flags)'),
  virDomainDetachDeviceFlags: c<(domain: P, xml: string, flags: number) => number>('int virDomainDetachDeviceFlags(void *domain, str xml, uint flags)'),
  virDomainUpdateDeviceFlags: c<(domain: P, xml: string, flags: number) => number>('int virDomainUpdateDeviceFlags(void *domain, str xml, uint flags)'),
  virDomainSetMemoryFlags: c<(domain: P, memoryKiB: number, flags: number) => number>('int virDomainSetMemoryFlags(void *domain, ulong memory, uint flags)'),
  virDomainSetVcpusFlags: c<(domain: P, vcpus: number, flags: number) => number>('int virDomainSetVcpusFlags(void *domain, uint vcpus, uint flags)'),
  virDomainSetMetadata: c<(domain: P, type: number, metadata: string | null, key: string | null, uri: string | null, flags: number) => number>('int virDomainSetMetadata(void *domain, int type, str metadata, str key, str uri, uint flags)'),
  virDomainOpenConsole: c<(domain: P, device: string | null, stream: P, flags: number) => number>('int virDomainOpenConsole(void *domain, str device, void *stream, uint flags)'),

  virDomainMigrateToURI3: c<(domain: P, uri: string, parameters: P | null, count: number, flags: number) => number>('int virDomainMigrateToURI3(void *domain, str uri, void *parameters, uint count, uint flags)'),
  virDomainMigrateSetMaxDowntime: c<(domain: P, downtimeMs: number, flags: number) => number>('int virDomainMigrateSetMaxDowntime(void *domain, uint64_t downtime, uint flags)'),
  virDomainGetJobStats: c<(domain: P, type: number[], parameters: Out, count: number[], flags: number) => number>('int virDomainGetJobStats(void *domain, _Out_ int *type, _Out_ void **parameters, _Out_ int *count, uint flags)'),
  virDomainAbortJob: c<(domain: P) => number>('int virDomainAbortJob(void *domain)'),
  virTypedParamsFree: c<(parameters: P, count: number) => void>('void virTypedParamsFree(void *parameters, int count)'),
  virTypedParamsAddString: c<(parameters: Out, count: number[], capacity: number[], name: string, value: string) => number>('int virTypedParamsAddString(_Inout_ void **parameters, _Inout_ int *count, _Inout_ int *capacity, str name, str value)'),
  virTypedParamsAddULLong: c<(parameters: Out, count: number[], capacity: number[], name: string, value: number) => number>('int virTypedParamsAddULLong(_Inout_ void **parameters, _Inout_ int *count, _Inout_ int *capacity, str name, uint64_t value)'),

  virDomainSnapshotCreateXML: c<(domain: P, xml: string, flags: number) => P | null>('void *virDomainSnapshotCreateXML(void *domain, str xml, uint flags)'),
  virDomainSnapshotLookupByName: c<(domain: P, name: string, flags: number) => P | null>('void *virDomainSnapshotLookupByName(void *domain, str name, uint flags)'),
  virDomainListAllSnapshots: c<(domain: P, snapshots: Out, flags: number) => number>('int virDomainListAllSnapshots(void *domain, _Out_ void **snapshots, uint flags)'),
  virDomainSnapshotNum: c<(domain: P, flags: number) => number>('int virDomainSnapshotNum(void *domain, uint flags)'),
  virDomainSnapshotGetXMLDesc: c<(snapshot: P, flags: number) => string | null>('str! virDomainSnapshotGetXMLDesc(void *snapshot, uint flags)'),
  virDomainSnapshotIsCurrent: c<(snapshot: P, flags: number) => number>('int virDomainSnapshotIsCurrent(void *snapshot, uint flags)'),
  virDomainRevertToSnapshot: c<(snapshot: P, flags: number) => number>('int virDomainRevertToSnapshot(void *snapshot, uint flags)'),
  virDomainSnapshotDelete: c<(snapshot: P, flags: number) => number>('int virDomainSnapshotDelete(void *snapshot, uint flags)'),
  virDomainSnapshotFree: c<(snapshot: P) => number>('int virDomainSnapshotFree(void *snapshot)'),
} as const
