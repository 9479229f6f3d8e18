// Completion scripts from the command registry. Pure: text out; commands first (of a group: its own second words), then
// their options, file names where an option or `run` takes one.

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type ShellName = (typeof SHELLS)[number]

export interface CompletionEntry { readonly name: string; readonly summary: string; readonly flags: readonly string[]; readonly commands?: readonly CompletionEntry[] }

const single = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** "create" of "vm create". */
const second = (name: string): string => name.split(' ').at(-1) ?? name

function bash(entries: readonly CompletionEntry[]): string {
  const flagsCase = (e: CompletionEntry): string => `    ${single(e.name)}) words=${single([...e.flags, '--help'].join(' '))} ;;`
  const cases = entries.flatMap((e) => e.commands === undefined ? [flagsCase(e)] : [`    ${e.name}) words=${single([...e.commands.map((c) => second(c.name)), '--help'].join(' '))} ;;`, ...e.commands.map(flagsCase)])
  const groups = entries.filter((e) => e.commands !== undefined).map((e) => `    ${e.name}) subs=${single((e.commands ?? []).map((c) => second(c.name)).join(' '))} ;;`)
  return `# bash completion for kumoi: source <(kumoi completion bash)
_kumoi() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" command='' words='' subs='' i
  if [ "$previous" = --data ]; then mapfile -t COMPREPLY < <(compgen -d -- "$current"); return; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case " ${entries.map((e) => e.name).join(' ')} " in *" \${COMP_WORDS[i]} "*) command="\${COMP_WORDS[i]}"; break ;; esac
  done
  case "$command" in
${groups.join('\n')}
  esac
  if [ -n "$subs" ]; then
    for ((i = i + 1; i < COMP_CWORD; i++)); do
      case " $subs " in *" \${COMP_WORDS[i]} "*) command="$command \${COMP_WORDS[i]}"; break ;; esac
    done
  fi
  case "$command" in
${cases.join('\n')}
    *) words=${single([...entries.map((e) => e.name), ...new Set(entries.flatMap((e) => (e.name === 'eval' ? e.flags : []))), '--help', '--version'].join(' '))} ;;
  esac
  if [ "$command" = completion ]; then words="$words ${SHELLS.join(' ')}"; fi
  if [ "$command" = help ]; then words="$words ${entries.map((e) => e.name).join(' ')}"; fi
  if [ "$command" = run ] && [[ "$current" != -* ]]; then mapfile -t COMPREPLY < <(compgen -f -- "$current"); return; fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o filenames -F _kumoi kumoi
`
}

function zsh(entries: readonly CompletionEntry[]): string {
  const names = entries.map((e) => `    ${single(`${e.name}:${e.summary}`)}`)
  const groups = entries.flatMap((e) => e.commands === undefined ? [] : [`    ${e.name})
      if (( CURRENT == 3 )); then compadd -- ${e.commands.map((c) => second(c.name)).join(' ')} --help; return; fi
      case "\${words[3]}" in
${e.commands.map((c) => `        ${second(c.name)}) compadd -- ${[...c.flags, '--help'].join(' ')} ;;`).join('\n')}
      esac ;;`])
  const cases = entries.filter((e) => e.commands === undefined).map((e) => `    ${e.name}) compadd -- ${[...e.flags, '--help'].join(' ')}${e.name === 'completion' ? ` ${SHELLS.join(' ')}` : ''}${e.name === 'run' ? '; _files' : ''} ;;`)
  return `#compdef kumoi
# zsh completion for kumoi: source <(kumoi completion zsh)
_kumoi() {
  local -a commands
  commands=(
${names.join('\n')}
  )
  if (( CURRENT == 2 )); then _describe 'command' commands; return; fi
  if [[ "\${words[CURRENT-1]}" == --data ]]; then _files -/; return; fi
  case "\${words[2]}" in
${[...groups, ...cases].join('\n')}
  esac
}
compdef _kumoi kumoi
`
}

function fish(entries: readonly CompletionEntry[]): string {
  const lines = entries.flatMap((e) => [
    `complete -c kumoi -n __fish_use_subcommand -f -a ${e.name} -d ${single(e.summary)}`,
    ...e.flags.map((flag) => `complete -c kumoi -n '__fish_seen_subcommand_from ${e.name}' -l ${flag.slice(2)}`),
    ...(e.commands ?? []).flatMap((c) => [
      `complete -c kumoi -n '__fish_seen_subcommand_from ${e.name}; and not __fish_seen_subcommand_from ${(e.commands ?? []).map((each) => second(each.name)).join(' ')}' -f -a ${second(c.name)} -d ${single(c.summary)}`,
      ...c.flags.filter((flag) => !e.flags.includes(flag)).map((flag) => `complete -c kumoi -n '__fish_seen_subcommand_from ${e.name}; and __fish_seen_subcommand_from ${second(c.name)}' -l ${flag.slice(2)}`),
    ]),
  ])
  return `# fish completion for kumoi: kumoi completion fish | source\n${lines.join('\n')}\ncomplete -c kumoi -n '__fish_seen_subcommand_from completion' -f -a '${SHELLS.join(' ')}'\ncomplete -c kumoi -n '__fish_seen_subcommand_from run' -F\n`
}

export const completionScript = (shell: ShellName, entries: readonly CompletionEntry[]): string =>
  ({ bash, zsh, fish })[shell](entries)
