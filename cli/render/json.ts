// --json: what the HTTP door answers too (functions/value/json.ts).

export { JSON_RULES, toJson } from '../../functions/base.ts'
