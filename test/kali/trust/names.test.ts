// The one spelling of users and groups: what is folded, what is refused, and that nothing else comes out.

import t from 'tap'
import { canonicalGroupName, canonicalUserName } from '../../../kali/trust/names.ts'
import { fc } from '../../support/property.ts'

const tried = (canonical: (text: string) => string, text: string): string | undefined => {
  try { return canonical(text) } catch (error) {
    if ((error as { code?: string }).code !== 'KALI_ERR_TRUST_NAME') throw error
    return undefined
  }
}

t.test('users', (t) => {
  for (const [text, name] of [['alice', 'alice'], ['Alice', 'alice'], ['A.B-c_9', 'a.b-c_9'], ['0', '0'], ['a'.repeat(63), 'a'.repeat(63)]] as const) t.equal(canonicalUserName(text), name)
  for (const text of ['', ' ', ' alice', 'alice ', 'al ice', '-a', '.a', '_a', 'a'.repeat(64), 'a'.repeat(1_000_000), 'é', 'ａ', '\u212a', 'ı', 'İ', 'ß', 'ﬁ', 'a\u0301', 'a\0', 'a\n', '\u202ea', 'a\u200b', 'user:alice', 'a/b', 'a@b', 'a+b', '\ud800']) t.equal(tried(canonicalUserName, text), undefined, JSON.stringify(text.slice(0, 20)))
  t.end()
})

t.test('groups', (t) => {
  for (const [text, name] of [['Ops', 'ops'], ['Domain Admins', 'domain admins'], ['a b c', 'a b c'], ['x'.repeat(128), 'x'.repeat(128)]] as const) t.equal(canonicalGroupName(text), name)
  for (const text of ['', ' ops', 'ops ', 'a  b', 'a\tb', 'a\u00a0b', 'a\u2003b', 'x'.repeat(129), 'Öps', 'ｏｐｓ', 'ops,dc=lab', 'a/b', 'a+b', 'a:b', '*']) t.equal(tried(canonicalGroupName, text), undefined, JSON.stringify(text.slice(0, 20)))
  t.not(canonicalGroupName('domain admins'), canonicalGroupName('domain-admins'), 'a space is no hyphen')
  t.end()
})

t.test('what comes out comes out again, and is of its alphabet', (t) => {
  const texts = fc.oneof(fc.string({ unit: 'binary', maxLength: 8 }), fc.stringMatching(/^[A-Za-z0-9 ._-]{0,80}$/))
  fc.assert(fc.property(texts, (text) => {
    const user = tried(canonicalUserName, text), group = tried(canonicalGroupName, text)
    if (user !== undefined && (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(user) || canonicalUserName(user) !== user || user.length !== text.length)) throw new Error('user')
    if (group !== undefined && (!/^[a-z0-9][a-z0-9 ._-]{0,127}$/.test(group) || group.endsWith(' ') || canonicalGroupName(group) !== group)) throw new Error('group')
  }), { numRuns: 1_000 })
  t.end()
})

t.test('a message shows only what cannot deceive', (t) => {
  t.throws(() => canonicalUserName('al ice'), { message: /^"al ice" cannot be the name of a user/ })
  t.throws(() => canonicalUserName('\u202eecila'), { message: /^This cannot be the name of a user/ })
  t.end()
})
