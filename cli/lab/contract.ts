// A lab: a whole data center on this machine. What is written down about it (DIR/lab.json), and what can be asked.
//
//   DIR/lab.json          this record
//   DIR/nfs               "shared storage": /nfs in every host
//   DIR/host1/node        data directory of host1's node, with its log and socket
//   DIR/host1/{etc,lib,log,cache,ovs,root}   what covers the machine's own directories inside host1
//
// A libvirt host is a network, mount and UTS namespace held by one small process. Every process of it carries, in its
// list of mounts, the mark "kumoi-lab:<id>:<host>": that, never a process id alone, says what belongs to a lab and may be killed.

export type LabDriver = 'libvirt' | 'memory'
export type LabSwitch = 'linux' | 'ovs'

export interface LabHost {
  readonly name: string
  /** 1, 2, ...: the last octet of its address in a libvirt lab. */
  readonly index: number
  readonly address: string
  /** Data directory of its node (KUMOI_DATA). */
  readonly data: string
}

export interface LabRecord {
  readonly version: 1
  /** Random; part of the mark. */
  readonly id: string
  readonly name: string
  readonly driver: LabDriver
  readonly switch: LabSwitch
  readonly createdAtMs: number
  readonly hosts: readonly LabHost[]
}

export interface LabUpOptions {
  readonly name: string
  readonly directory: string
  readonly hosts: number
  readonly driver: LabDriver
  readonly switch: LabSwitch
  readonly signal?: AbortSignal
  /** Called with what is being done now, and how much is done. */
  readonly onProgress?: (step: string, done: number, total: number) => void
}

export type HostState = 'up' | 'node down' | 'off'
export interface HostStatus extends LabHost { readonly state: HostState; readonly processes: number; readonly group: number | undefined }
export interface LabStatus { readonly name: string; readonly directory: string; readonly driver: LabDriver; readonly switch: LabSwitch; readonly hosts: readonly HostStatus[] }
