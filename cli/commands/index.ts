// The registry: one line a command, loaded when it is the one. Order is the order of help.

import type { AnyCommand } from '../command.ts'

export interface RegistryEntry { readonly name: string; readonly aliases?: readonly string[]; load(): Promise<AnyCommand> }

export const COMMANDS: readonly RegistryEntry[] = [
  { name: 'eval', load: async () => (await import('./eval.ts')).evaluateCommand },
  { name: 'run', load: async () => (await import('./run.ts')).runCommand },
  { name: 'repl', load: async () => (await import('./repl.ts')).replCommand },
  { name: 'explain', load: async () => (await import('./explain.ts')).explainCommand },
  { name: 'up', load: async () => (await import('./up.ts')).upCommand },
  { name: 'ticket', load: async () => (await import('./ticket.ts')).ticketCommand },
  { name: 'nodes', load: async () => (await import('./nodes.ts')).nodesCommand },
  { name: 'info', aliases: ['status'], load: async () => (await import('./info.ts')).infoCommand },
  { name: 'down', load: async () => (await import('./down.ts')).downCommand },
  { name: 'doctor', load: async () => (await import('./doctor.ts')).doctorCommand },
  { name: 'tour', load: async () => (await import('./tour.ts')).tourCommand },
  { name: 'completion', load: async () => (await import('./completion.ts')).completionCommand },
  { name: 'help', load: async () => (await import('./help.ts')).helpCommand },
]
