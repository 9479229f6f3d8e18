// 'kumoi' as the entries of policies and the examples import it, for the type check of this repository; bundles get the
// sandbox's (functions/bundle/kumoi-module.ts), and a user's editor cli/function-api.ts.

declare module 'kumoi' {
  type Definition<C, P, R> = import('../../../functions/base.ts').FunctionDefinition<C, P, R>
  type Context = import('../../../functions/mod.ts').ContextOf<import('../../contract.ts').ObjectCollections>
  export const defineFunction: <C = Context, P = unknown, R = unknown>(definition: Definition<C, P, R>) => Definition<C, P, R>
  export const defineScheduler: (definition: import('../../placement/user-scheduler.ts').SchedulerDefinition) => unknown
  export const byRank: typeof import('../../placement/user-scheduler.ts').byRank
}
