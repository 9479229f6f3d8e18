// libvirt's storage and network functions (libvirt-storage.h, libvirt-network.h) for library.ts.

export const storageDeclarations = {} as const
