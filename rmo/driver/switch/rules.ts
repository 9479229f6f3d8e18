// What every switch driver refuses before it asks anything of a switch: names, tags, contradictions. Pure.
//
// Source of the name rule: the kernel's dev_valid_name() (IFNAMSIZ 16 with its NUL; no '/', ':' or white space; not "." or
// ".."), narrowed to what no tool takes for an option or a wildcard ('-' first, '%').

import { RMO } from '../../errors.ts'

const NAME = /^(?!\.{1,2}$)[A-Za-z0-9_.+][A-Za-z0-9_.+-]{0,14}$/
export const INTERFACE_NAME = { pattern: NAME, expected: 'an interface name: 1 to 15 of A-Z a-z 0-9 _ . + -, not starting with -' } as const
/** 802.1Q: 0 says "no tag", 4095 is reserved. */
export const VLAN_TAG_MAX = 4_094

/** What a change is for, as errors name it. */
export interface Purpose { readonly operation: string; readonly name: string }
export type Vlan = { readonly tag: number } | { readonly trunk: readonly number[] }
export interface PortChange { readonly vlanTag?: number; readonly trunkTags?: readonly number[]; readonly rateKiBps?: number }

export function checkName(call: string, name: string): void {
  if (!NAME.test(name)) throw RMO.ARGUMENT_INVALID({ call, path: 'name', expected: INTERFACE_NAME.expected, got: JSON.stringify(name.slice(0, 40)) })
}

const isTag = (tag: number): boolean => Number.isInteger(tag) && tag >= 0 && tag <= VLAN_TAG_MAX

/** Tags in range, no tag and trunk at once, no negative rate. */
export function checkChange(call: string, { vlanTag, trunkTags, rateKiBps }: PortChange): void {
  const refuse = (path: string, expected: string, got: unknown): never => { throw RMO.ARGUMENT_INVALID({ call, path, expected, got: JSON.stringify(got) }) }
  if (vlanTag !== undefined && !isTag(vlanTag)) refuse('vlanTag', `an integer from 0 (untagged) to ${VLAN_TAG_MAX}`, vlanTag)
  const stray = trunkTags?.find((tag) => !isTag(tag))
  if (stray !== undefined) refuse('trunkTags', `tags from 0 to ${VLAN_TAG_MAX}`, stray)
  if (vlanTag !== undefined && vlanTag > 0 && trunkTags !== undefined && trunkTags.length > 0) refuse('trunkTags', 'empty when vlanTag is set: a port is an access port or a trunk', trunkTags)
  if (rateKiBps !== undefined && !(Number.isInteger(rateKiBps) && rateKiBps >= 0)) refuse('rateKiBps', 'an integer of at least 0 (no limit)', rateKiBps)
}

/** An access port and a trunk exclude each other: setting one clears the other. */
export const vlanOf = (vlan: Vlan | undefined): { readonly vlanTag: number; readonly trunkTags: readonly number[] } =>
  vlan === undefined ? { vlanTag: 0, trunkTags: [] } : 'tag' in vlan ? { vlanTag: vlan.tag, trunkTags: [] } : { vlanTag: 0, trunkTags: sortedTags(vlan.trunk) }

export const sortedTags = (tags: readonly number[]): readonly number[] => [...new Set(tags)].sort((a, b) => a - b)

/** Bits per second, from KiB per second. */
export const bitsOf = (rateKiBps: number): number => rateKiBps * 8 * 1_024
