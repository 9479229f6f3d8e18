// Hostile bodies that reach out (rows 40 to 52), each once.

import { test } from 'tap'
import { ROWS } from './rows.ts'
import { testRows } from './suite.ts'

test('rows 40 to 52', async (t) => { await testRows(t, ROWS.filter(({ row }) => row >= 40 && row <= 52)) })
