// Hostile bodies that use up time (rows 1 to 24), each once.

import { test } from 'tap'
import { ROWS } from './rows.ts'
import { testRows } from './suite.ts'

test('rows 1 to 24', async (t) => { await testRows(t, ROWS.filter(({ row }) => row >= 1 && row <= 24)) })
