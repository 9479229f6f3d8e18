// Second door of functions/, beside mod.ts: what shells, programs and the kinds of objects need, and nothing that only a
// node runs (catalog, triggers, bundles, sandbox): every `kumoi` on a command line waits for what is loaded here.

export { COLLECTION, COUNTERPART, REFERENCE, SHIPPED } from './contract.ts'
export type * from './mod.ts'
export { parseFunctionPrincipal } from './principal.ts'
export { FUNCTIONS } from './errors.ts'
export { capture, explain } from './capture/mod.ts'
export { defineFunction, onlyInside } from './bundle/define.ts'
export { createCatalogClient } from './catalog/client.ts'
export { triggerText } from './catalog/compare.ts'
export { MapError } from './collection/batch.ts'
export { collectionFrom, collectionOf, collectionOfObjects } from './collection/collection.ts'
export { createCallsClient } from './invoke/client.ts'
export { createObserveClient } from './observe/client.ts'
export { createSecretsClient } from './state/client.ts'
export { JSON_RULES, referenceOf, toJson } from './value/json.ts'
export { decodeValue, encodeArray, encodeValue } from './value/mod.ts'
