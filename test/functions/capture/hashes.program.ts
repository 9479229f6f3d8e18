// Prints "code-hash environment-hash" of five closures; run twice by capture.test.ts to compare.
import { capture } from '../../../functions/capture/mod.ts'

class Account { #balance = 5; owner = 'ann'; static count = 1; get balance() { return this.#balance } }
const account = new Account()
const cycle: Record<string, unknown> = { map: new Map([['a', [1, 2, 3]]]), when: new Date(0) }
cycle['self'] = cycle
const helpers = { double: (x: number) => x * 2, account: () => account.balance }

for (const fn of [(x: number) => x + 1, (x: number) => helpers.double(x), () => account.balance, () => cycle, () => [helpers, cycle, Account]]) {
  const { program, environment } = capture(fn)
  console.log(program.hash, environment.hash)
}
