// 'kumoi' as the entries of policies and the examples import it, for the type check of this repository; bundles get the
// sandbox's (functions/bundle/kumoi-module.ts), and a user's editor cli/function-api.ts.

declare module 'kumoi' {
  export const defineFunction: typeof import('../../../functions/base.ts').defineFunction
}
