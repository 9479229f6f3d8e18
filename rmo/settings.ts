// Settings of virtual machines and their devices: plain data that travels, is dumped, patched and compared.
//
// A cold VM *is* its settings; a driver turns them into a resource (libvirt: domain XML, rmo/driver/libvirt/xml)
// and reads them back, so that a dump made from a live VM makes the same VM again. Types only.

/** A disk of a VM. Exactly one of `path` and `volume` says where its bytes are. */
export interface DiskDevice {
  readonly type: 'disk'
  /** Absolute path of a file on the host. */
  readonly path?: string
  /** Volume in a storage pool. */
  readonly volume?: { readonly pool: string; readonly name: string }
  /** Device name in the guest ("vda"); the next free one when left out. */
  readonly target?: string
  readonly format: 'qcow2' | 'raw'
  readonly device?: 'disk' | 'cdrom'
  readonly bus?: 'virtio' | 'sata' | 'scsi' | 'ide'
  readonly readOnly?: boolean
  /** 'auto': made when the VM is added and the file is not there: an overlay of `base` (or of the VM's image), else empty of `sizeMiB`. 'existing': must be there. */
  readonly create?: 'auto' | 'existing'
  /** Name of the image that an automatic disk is an overlay of; default: the VM's own image. */
  readonly base?: string
  /** Size in the guest; default: the base's. */
  readonly sizeMiB?: number
  /** 'root': first disk, made from the image; 'seed': NoCloud; 'data': any other. Set by Kumoi. */
  readonly role?: 'root' | 'seed' | 'data'
}

/** A network interface of a VM. Exactly one of `bridge` and `network` says what it is plugged into. */
export interface InterfaceDevice {
  readonly type: 'interface'
  /** Bridge of the host: a Linux bridge or an Open vSwitch. */
  readonly bridge?: string
  /** Network of the hypervisor. */
  readonly network?: string
  /** 'openvswitch' when the bridge is one; found out by Kumoi when left out. */
  readonly switchType?: 'linux' | 'openvswitch'
  /** Six octets, lower case; allocated (52:54:00:...) when left out. */
  readonly mac?: string
  /** Name of the host's end ("vnet7"); chosen by the hypervisor when left out. */
  readonly target?: string
  readonly model?: 'virtio' | 'e1000'
  /** 802.1Q: one tag, or the tags of a trunk. Open vSwitch only. */
  readonly vlan?: { readonly tag: number } | { readonly trunk: readonly number[] }
  /** Limit in each direction, kilobytes (1024) per second. */
  readonly rateKiBps?: number
}
export type Device = DiskDevice | InterfaceDevice

/** What a guest is told at its first boot; becomes a NoCloud seed (cloud.md section 4). */
export interface GuestContext {
  readonly hostname?: string
  /** Anything cloud-init's user-data knows: users, runcmd, write_files, ssh_authorized_keys, ... */
  readonly [key: string]: unknown
  /** Text of network-config (version 1 or 2) as data. */
  readonly network?: Readonly<Record<string, unknown>>
}

/** All that can be set of a VM. What stands here is what `dump` gives and `patch` changes. */
export interface VmSettings {
  readonly name: string
  readonly memoryMiB: number
  readonly vcpus: number
  /** Image that automatic disks are overlays of; without an automatic disk in `devices` a root disk is made from it. */
  readonly image?: string
  readonly devices: readonly Device[]
  readonly context?: GuestContext
  /** NoCloud instance-id: new for each clone, kept over restart and migration. Set by Kumoi. */
  readonly instanceId?: string
  /** Started with the host. */
  readonly autostart?: boolean
  readonly description?: string
  /** Keys and values of the user's own; at most 64. */
  readonly labels?: Readonly<Record<string, string>>
  /** Memory driver: a CPU load trace, ratio (0 to 1) per step of `stepMs`, repeated. Ignored by hypervisors. */
  readonly simulate?: { readonly cpuRatios: readonly number[]; readonly stepMs: number; readonly bootMs?: number }
}
