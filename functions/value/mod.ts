// Public names of functions/value: pure, no Node; the entry that a sandbox bundles.

export { arrayHeader, checkArray, joinArrays, readArrayHeader } from './arrays.ts'
export { decodeValue, encodeArray, encodeValue } from './codec.ts'
export type { DecodeOptions } from './codec.ts'
export type { EncodeHooks, Walk } from './flatten.ts'
export type { DecodeHooks, Revival } from './revive.ts'
export { linkProgram, programPackages } from './link.ts'
export type { AnyFunction, Linkable, LinkHooks, Runtime } from './link.ts'
export { PROFILES, scanValue } from './scan.ts'
export type { ProfileName, ScanProfile, Scanned } from './scan.ts'
