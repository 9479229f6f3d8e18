// What a virtual isolate runs before the prelude and around it: text, because it is evaluated in the isolate (virtual.ts).

import { FROM_LANE, PLAIN_CALLS } from './frames.ts'

/**
 * Time and randomness of the realm, put in place before the prelude takes hold of them; and fewer visits: the calls of one
 * turn go out together as lines "id element text" (those with arguments go alone), answers known by number come in together.
 */
export const virtualRealm = (prelude: string, seed: number): string => `(function () {
  let nowMs = 0, a = ${seed}
  Date.now = () => nowMs
  Math.random = () => {
    a = (a + 0x9e3779b9) | 0
    let z = a
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return ((z ^ (z >>> 15)) >>> 0) / 4294967296
  }
  const then = Function.prototype.call.bind(Promise.prototype.then), turn = Promise.resolve()
  const boot = ${prelude.trim().replace(/;$/, '')}
  return (post, announce, shapes) => {
    let lines = '', job = 0
    const flush = () => {
      const text = lines
      lines = ''
      if (text !== '') post(${FROM_LANE.call}, job, 0, 0, 0, ${PLAIN_CALLS}, text, undefined)
    }
    const made = boot((type, id, b, c, d, flags, text, bytes) => {
      if (type !== ${FROM_LANE.call}) { if (lines !== '') flush(); return post(type, id, b, c, d, flags, text, bytes) }
      if (flags !== 0 || bytes.length !== 1 || bytes[0] !== 0x80) { if (lines !== '') flush(); return post(type, id, b, c, d, flags, text, bytes) }
      if (lines === '') then(turn, flush)
      job = id
      lines += b + ' ' + c + ' ' + text + '\\n'
    }, announce, shapes)
    const { answer } = made
    return Object.assign(made, {
      moment: (ms) => { nowMs = ms },
      known: (pairs) => { for (let i = 0; i < pairs.length; i += 2) answer(pairs[i], true, undefined, '' + pairs[i + 1]) },
    })
  }
})()`
