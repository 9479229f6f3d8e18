// Hostile bodies that use up memory (rows 25 to 39), each once.

import { test } from 'tap'
import { ROWS } from './rows.ts'
import { testRows } from './suite.ts'

test('rows 25 to 39', async (t) => { await testRows(t, ROWS.filter(({ row }) => row >= 25 && row <= 39)) })
