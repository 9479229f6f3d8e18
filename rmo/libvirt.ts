// Second door of rmo/, loaded by whoever starts a libvirt host: the driver brings koffi and the XML parser with it.
export { createLibvirtDriver } from './driver/libvirt/driver.ts'
export type { LibvirtDriverOptions } from './driver/libvirt/driver.ts'
