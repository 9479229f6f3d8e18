// A directory of users in memory, with the manners of the real one (kali/trust/directory.ts).

import { KALI } from '../../kali/errors.ts'
import type { Directory } from '../../kali/trust/directory.ts'

export interface FakeUser { password: string; groups: readonly string[] }

export interface FakeDirectory extends Directory {
  readonly users: Map<string, FakeUser>
  /** Names that were asked for, in order. */
  readonly asked: string[]
  away: boolean
}

export function fakeDirectory(users: Readonly<Record<string, FakeUser>>): FakeDirectory {
  const directory: FakeDirectory = {
    users: new Map(Object.entries(users)), asked: [], away: false,
    async authenticate({ name, password }) {
      directory.asked.push(name)
      if (directory.away) throw KALI.DIRECTORY_AWAY({ url: 'ldaps://fake', reason: 'it is away' })
      const user = directory.users.get(name)
      if (user === undefined || user.password !== password) throw KALI.LOGIN_REFUSED({ name })
      return { name, dn: `uid=${name},dc=test`, groups: user.groups }
    },
  }
  return directory
}
