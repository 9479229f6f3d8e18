// The registry: one line a command, loaded when it is the one. Order is the order of help. A group (`kumoi vm ...`)
// has commands of its own, whose names are two words.

import type { AnyCommand } from '../command.ts'

/** `itself`: a group that does something without a second word, with options of its own. */
export interface RegistryEntry { readonly name: string; readonly itself?: true; readonly aliases?: readonly string[]; readonly commands?: readonly RegistryEntry[]; load(): Promise<AnyCommand> }

const list = (name: string, kind: string): RegistryEntry => ({ name, load: async () => (await import('./list.ts')).listCommand(name, kind) })

const lifecycle = (verb: string): RegistryEntry => ({ name: `vm ${verb}`, load: async () => (await import('./vm/lifecycle.ts')).lifecycleCommand(verb) })

const VM_COMMANDS: readonly RegistryEntry[] = [
  { name: 'vm create', load: async () => (await import('./vm/create.ts')).createCommand },
  { name: 'vm show', load: async () => (await import('./vm/show.ts')).showCommand },
  lifecycle('start'), lifecycle('stop'), lifecycle('destroy'), lifecycle('suspend'), lifecycle('resume'), lifecycle('reboot'), lifecycle('save'),
  { name: 'vm migrate', load: async () => (await import('./vm/migrate.ts')).migrateCommand },
  { name: 'vm clone', load: async () => (await import('./vm/clone.ts')).cloneCommand },
  { name: 'vm snapshot', load: async () => (await import('./vm/snapshot.ts')).snapshotCommand },
  { name: 'vm console', load: async () => (await import('./vm/console.ts')).consoleCommand },
  { name: 'vm set', load: async () => (await import('./vm/set.ts')).setCommand },
  { name: 'vm dump', load: async () => (await import('./vm/dump.ts')).dumpCommand },
  { name: 'vm load', load: async () => (await import('./vm/load.ts')).loadCommand },
  { name: 'vm watch', load: async () => (await import('./vm/watch.ts')).watchCommand },
  { name: 'vm rm', load: async () => (await import('./vm/rm.ts')).rmCommand },
]

const IMAGE_COMMANDS: readonly RegistryEntry[] = [
  { name: 'image import', load: async () => (await import('./image/import.ts')).importCommand },
  { name: 'image verify', load: async () => (await import('./image/verify.ts')).verifyCommand },
  { name: 'image rm', load: async () => (await import('./image/rm.ts')).rmCommand },
]

const SECRET_COMMANDS: readonly RegistryEntry[] = [
  { name: 'secret set', load: async () => (await import('./secret/set.ts')).setCommand },
  { name: 'secret list', load: async () => (await import('./secret/list.ts')).listCommand },
  { name: 'secret rm', load: async () => (await import('./secret/rm.ts')).rmCommand },
]

const user = (verb: 'revoke' | 'restore'): RegistryEntry => ({ name: `user ${verb}`, load: async () => (await import('./trust/user.ts')).stateCommand(verb) })

const USER_COMMANDS: readonly RegistryEntry[] = [
  { name: 'user list', load: async () => (await import('./trust/user.ts')).listCommand },
  { name: 'user show', load: async () => (await import('./trust/user.ts')).showCommand },
  user('revoke'), user('restore'),
]

const ROLE_COMMANDS: readonly RegistryEntry[] = [
  { name: 'role list', load: async () => (await import('./trust/role.ts')).listCommand },
  { name: 'role set', load: async () => (await import('./trust/role.ts')).setCommand },
  { name: 'role rm', load: async () => (await import('./trust/role.ts')).rmCommand },
]

const ACL_COMMANDS: readonly RegistryEntry[] = [
  { name: 'acl show', load: async () => (await import('./acl/show.ts')).showCommand },
  { name: 'acl grant', load: async () => (await import('./acl/grant.ts')).grantCommand('grant') },
  { name: 'acl deny', load: async () => (await import('./acl/grant.ts')).grantCommand('deny') },
  { name: 'acl revoke', load: async () => (await import('./acl/grant.ts')).revokeCommand },
  { name: 'acl why', load: async () => (await import('./acl/show.ts')).whyCommand },
]

const KEY_COMMANDS: readonly RegistryEntry[] = [{ name: 'key rotate', load: async () => (await import('./trust/role.ts')).rotateCommand }]

const TRUST_COMMANDS: readonly RegistryEntry[] = [
  { name: 'trust show', load: async () => (await import('./trust/settings.ts')).showCommand },
  { name: 'trust ldap', load: async () => (await import('./trust/settings.ts')).ldapCommand },
]

const POOL_COMMANDS: readonly RegistryEntry[] = [
  { name: 'pool create', load: async () => (await import('./pool/create.ts')).createCommand },
  { name: 'pool show', load: async () => (await import('./pool/show.ts')).showCommand },
  { name: 'pool set', load: async () => (await import('./pool/create.ts')).setCommand },
  { name: 'pool add', load: async () => (await import('./pool/add.ts')).addCommand },
  { name: 'pool rm', load: async () => (await import('./pool/add.ts')).rmCommand },
  { name: 'pool why', load: async () => (await import('./pool/show.ts')).whyCommand },
  { name: 'pool decisions', load: async () => (await import('./pool/show.ts')).decisionsCommand },
  { name: 'pool place', load: async () => (await import('./pool/place.ts')).placeCommand },
  { name: 'pool rule', load: async () => (await import('./pool/rule.ts')).ruleCommand },
  { name: 'pool drain', load: async () => (await import('./pool/mode.ts')).modeCommand('drain') },
  { name: 'pool maintain', load: async () => (await import('./pool/mode.ts')).modeCommand('maintain') },
  { name: 'pool serve', load: async () => (await import('./pool/mode.ts')).modeCommand('serve') },
]

const HA_COMMANDS: readonly RegistryEntry[] = [
  { name: 'ha add', load: async () => (await import('./ha/add.ts')).addCommand },
  { name: 'ha list', load: async () => (await import('./ha/list.ts')).listCommand },
  { name: 'ha rm', load: async () => (await import('./ha/add.ts')).rmCommand },
  { name: 'ha clear', load: async () => (await import('./ha/list.ts')).clearCommand },
  { name: 'ha mode', load: async () => (await import('./ha/list.ts')).modeCommand },
]

const ELASTIC_COMMANDS: readonly RegistryEntry[] = [
  { name: 'elastic add', load: async () => (await import('./elastic/add.ts')).addCommand },
  { name: 'elastic list', load: async () => (await import('./elastic/add.ts')).listCommand },
  { name: 'elastic set', load: async () => (await import('./elastic/add.ts')).setCommand },
  { name: 'elastic pause', load: async () => (await import('./elastic/state.ts')).pauseCommand('pause') },
  { name: 'elastic resume', load: async () => (await import('./elastic/state.ts')).pauseCommand('resume') },
  { name: 'elastic rm', load: async () => (await import('./elastic/state.ts')).rmCommand },
]

const power = (verb: 'kill' | 'start' | 'stop-node' | 'start-node'): RegistryEntry => ({ name: `lab ${verb}`, load: async () => (await import('./lab/power.ts')).powerCommand(verb) })

const LAB_COMMANDS: readonly RegistryEntry[] = [
  { name: 'lab up', load: async () => (await import('./lab/up.ts')).upCommand },
  { name: 'lab status', load: async () => (await import('./lab/status.ts')).statusCommand },
  { name: 'lab env', load: async () => (await import('./lab/env.ts')).envCommand },
  { name: 'lab exec', load: async () => (await import('./lab/exec.ts')).execCommand },
  power('kill'), power('start'), power('stop-node'), power('start-node'),
  { name: 'lab partition', load: async () => (await import('./lab/partition.ts')).partitionCommand },
  { name: 'lab heal', load: async () => (await import('./lab/partition.ts')).healCommand },
  { name: 'lab figure4', load: async () => (await import('./lab/figure.ts')).figure4Command },
  { name: 'lab figure5', load: async () => (await import('./lab/figure.ts')).figure5Command },
  { name: 'lab log', load: async () => (await import('./lab/log.ts')).logCommand },
  { name: 'lab image', load: async () => (await import('./lab/image.ts')).imageCommand },
  { name: 'lab down', load: async () => (await import('./lab/down.ts')).downCommand },
]

const AUDIT_COMMANDS: readonly RegistryEntry[] = [
  { name: 'audit verify', load: async () => (await import('./audit/verify.ts')).verifyCommand },
  { name: 'audit export', load: async () => (await import('./audit/export.ts')).exportCommand },
]

const ACCOUNT_COMMANDS: readonly RegistryEntry[] = [
  { name: 'account prices', load: async () => (await import('./account.ts')).pricesCommand },
]

const QUOTA_COMMANDS: readonly RegistryEntry[] = [
  { name: 'quota set', load: async () => (await import('./quota/quota.ts')).setCommand },
  { name: 'quota list', load: async () => (await import('./quota/quota.ts')).listCommand },
  { name: 'quota rm', load: async () => (await import('./quota/quota.ts')).rmCommand },
]

const NODE_COMMANDS: readonly RegistryEntry[] = [
  { name: 'node list', load: async () => (await import('./node/list.ts')).listCommand },
  { name: 'node key', load: async () => (await import('./node/list.ts')).keyCommand },
  { name: 'node admit', load: async () => (await import('./node/revoke.ts')).admitCommand },
  { name: 'node revoke', load: async () => (await import('./node/revoke.ts')).revokeCommand },
]

const STORE_COMMANDS: readonly RegistryEntry[] = [
  { name: 'store status', load: async () => (await import('./store/status.ts')).statusCommand },
  { name: 'store copy', load: async () => (await import('./store/copy.ts')).copyCommand },
]

export interface CommandSection { readonly title: string; readonly commands: readonly RegistryEntry[] }

/** As help shows them. */
export const SECTIONS: readonly CommandSection[] = [
  { title: 'Ask and compute', commands: [
    { name: 'eval', load: async () => (await import('./eval.ts')).evaluateCommand },
    { name: 'run', load: async () => (await import('./run.ts')).runCommand },
    { name: 'repl', load: async () => (await import('./repl.ts')).replCommand },
    { name: 'explain', load: async () => (await import('./explain.ts')).explainCommand },
  ] },
  { title: 'Functions that stay', commands: [
    { name: 'deploy', load: async () => (await import('./deploy.ts')).deployCommand },
    { name: 'simulate', load: async () => (await import('./simulate.ts')).simulateCommand },
    { name: 'functions', load: async () => (await import('./functions.ts')).functionsCommand },
    { name: 'invoke', load: async () => (await import('./invoke.ts')).invokeCommand },
    { name: 'calls', load: async () => (await import('./calls.ts')).callsCommand },
    { name: 'dead', load: async () => (await import('./calls.ts')).deadCommand },
    { name: 'redrive', load: async () => (await import('./redrive.ts')).redriveCommand },
    { name: 'discard', load: async () => (await import('./redrive.ts')).discardCommand },
    { name: 'rollback', load: async () => (await import('./rollback.ts')).rollbackCommand },
    { name: 'alias', load: async () => (await import('./alias.ts')).aliasCommand },
    { name: 'pause', load: async () => (await import('./pause.ts')).pauseCommand('pause') },
    { name: 'resume', load: async () => (await import('./pause.ts')).pauseCommand('resume') },
    { name: 'rm', load: async () => (await import('./rm.ts')).rmCommand },
    { name: 'logs', load: async () => (await import('./logs.ts')).logsCommand },
    { name: 'stats', load: async () => (await import('./stats.ts')).statsCommand },
    { name: 'metrics', load: async () => (await import('./metrics.ts')).metricsCommand },
    { name: 'secret', commands: SECRET_COMMANDS, load: async () => (await import('../group.ts')).groupCommand('secret', 'Keep secrets for functions', SECRET_COMMANDS) },
  ] },
  { title: 'Objects', commands: [
    list('vms', 'VM'),
    { name: 'vm', commands: VM_COMMANDS, load: async () => (await import('../group.ts')).groupCommand('vm', 'Make, show, change and move virtual machines', VM_COMMANDS) },
    list('images', 'Image'),
    { name: 'image', commands: IMAGE_COMMANDS, load: async () => (await import('../group.ts')).groupCommand('image', 'Import, check and remove images', IMAGE_COMMANDS) },
    list('volumes', 'Volume'),
    list('storage', 'StoragePool'),
    list('snapshots', 'Snapshot'),
    list('networks', 'Network'),
    list('switches', 'Switch'),
    list('ports', 'Port'),
    list('hypervisors', 'VMM'),
  ] },
  { title: 'The cloud', commands: [
    { name: 'pools', load: async () => (await import('./pools.ts')).poolsCommand },
    { name: 'pool', commands: POOL_COMMANDS, load: async () => (await import('../group.ts')).groupCommand('pool', 'Make pools of machines, and see what is decided in them', POOL_COMMANDS) },
    { name: 'ha', commands: HA_COMMANDS, load: async () => (await import('../group.ts')).groupCommand('ha', 'Keep virtual machines running over crashes and lost machines', HA_COMMANDS) },
    { name: 'elastic', commands: ELASTIC_COMMANDS, load: async () => (await import('../group.ts')).groupCommand('elastic', 'Let virtual machines multiply as their load grows', ELASTIC_COMMANDS) },
    { name: 'top', load: async () => (await import('./top.ts')).topCommand },
  ] },
  { title: 'Nodes', commands: [
    { name: 'up', load: async () => (await import('./up.ts')).upCommand },
    { name: 'ticket', load: async () => (await import('./ticket.ts')).ticketCommand },
    { name: 'nodes', load: async () => (await import('./nodes.ts')).nodesCommand },
    { name: 'node', commands: NODE_COMMANDS, load: async () => (await import('../group.ts')).groupCommand('node', 'Admit machines by their key, and cut nodes off', NODE_COMMANDS) },
    { name: 'info', aliases: ['status'], load: async () => (await import('./info.ts')).infoCommand },
    { name: 'store', commands: STORE_COMMANDS, load: async () => (await import('../group.ts')).groupCommand('store', 'See where the global store is, and move it', STORE_COMMANDS) },
    { name: 'down', load: async () => (await import('./down.ts')).downCommand },
    { name: 'doctor', load: async () => (await import('./doctor.ts')).doctorCommand },
  ] },
  { title: 'Who may do what', commands: [
    { name: 'login', load: async () => (await import('./trust/login.ts')).loginCommand },
    { name: 'logout', load: async () => (await import('./trust/login.ts')).logoutCommand },
    { name: 'token', load: async () => (await import('./trust/token.ts')).tokenCommand },
    { name: 'whoami', load: async () => (await import('./trust/login.ts')).whoamiCommand },
    { name: 'user', commands: USER_COMMANDS, load: async () => (await import('../group.ts')).groupCommand('user', 'See who has logged in, and cut users off', USER_COMMANDS) },
    { name: 'role', commands: ROLE_COMMANDS, load: async () => (await import('../group.ts')).groupCommand('role', 'Give groups and users rights on the whole fabric', ROLE_COMMANDS) },
    { name: 'acl', commands: ACL_COMMANDS, load: async () => (await import('../group.ts')).groupCommand('acl', 'See and change who may do what with an object', ACL_COMMANDS) },
    { name: 'key', commands: KEY_COMMANDS, load: async () => (await import('../group.ts')).groupCommand('key', 'End all tokens', KEY_COMMANDS) },
    { name: 'audit', itself: true, commands: AUDIT_COMMANDS, load: async () => (await import('./audit/list.ts')).auditCommand },
    { name: 'account', itself: true, commands: ACCOUNT_COMMANDS, load: async () => (await import('./account.ts')).accountCommand },
    { name: 'quota', commands: QUOTA_COMMANDS, load: async () => (await import('../group.ts')).groupCommand('quota', 'Limit what users, groups and pools may have booked', QUOTA_COMMANDS) },
    { name: 'trust', commands: TRUST_COMMANDS, load: async () => (await import('../group.ts')).groupCommand('trust', 'See what trust rests on, and set the directory of users', TRUST_COMMANDS) },
  ] },
  { title: 'Try and learn', commands: [
    { name: 'lab', commands: LAB_COMMANDS, load: async () => (await import('../group.ts')).groupCommand('lab', 'Make a data center on this machine, for trying and for tests', LAB_COMMANDS) },
    { name: 'tour', load: async () => (await import('./tour.ts')).tourCommand },
    { name: 'completion', load: async () => (await import('./completion.ts')).completionCommand },
    { name: 'help', load: async () => (await import('./help.ts')).helpCommand },
  ] },
]

export const COMMANDS: readonly RegistryEntry[] = SECTIONS.flatMap(({ commands }) => commands)

/** Every command, groups and theirs. */
export const everyCommand = (): readonly RegistryEntry[] => COMMANDS.flatMap((entry) => [entry, ...(entry.commands ?? [])])
