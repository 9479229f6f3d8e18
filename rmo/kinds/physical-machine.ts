export interface PhysicalMachine { readonly name: string }
