// What of a secret can be found in lines and errors: nothing.

import { fc } from '../../support/property.ts'
import { test } from 'tap'
import { Redactor } from '../../../functions/state/redaction.ts'
import { logLine } from '../../support/observed-nodes.ts'

const values = fc.oneof(fc.string({ minLength: 8, maxLength: 60 }), fc.string({ minLength: 8, maxLength: 60, unit: 'binary' })).filter((value) => value.isWellFormed())

test('a value is found plain, in JSON, in a URL, hexadecimal and base64, wherever it stands', (t) => {
  fc.assert(fc.property(values, fc.string({ maxLength: 10 }), fc.string({ maxLength: 10 }), (value, before, after) => {
    const redactor = new Redactor()
    redactor.know('key', value)
    const around = Buffer.from(before + value + after)
    const texts = [value, JSON.stringify({ value }), encodeURIComponent(value), around.toString('hex')]
    return texts.every((text) => !redactor.text(`${text}`).includes(value) || value === '[secret key]')
      && [around.toString('base64'), around.toString('base64url')].every((text) => redactor.text(text).includes('[secret key]'))
  }))
  const redactor = new Redactor()
  redactor.know('pw', 'hunter2!')
  t.equal(redactor.text(`Authorization: Basic ${Buffer.from('user:hunter2!').toString('base64')}`).includes(Buffer.from('hunter2').toString('base64').slice(3, 7)), false)
  t.equal(redactor.text('nothing here'), 'nothing here')
  t.end()
})

test('lines, fields, keys, errors, causes, stacks', (t) => {
  const redactor = new Redactor()
  redactor.know('pw', 's3cr3t-value')
  redactor.know('pem', '-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----')
  const line = redactor.line(logLine({ text: 'got s3cr3t-value', fields: { a: ['s3cr3t-value', { 's3cr3t-value': 1 }], b: 7, c: new Date(0), d: Buffer.from('s3cr3t-value') } }))
  t.notMatch(JSON.stringify(line), /s3cr3t/)
  t.match(line, { text: 'got [secret pw]', fields: { b: 7, d: '[secret pw]', c: '1970-01-01T00:00:00.000Z' } })
  t.equal(redactor.text('line: MIIEvQIBADANBgkqhkiG9w0B'), 'line: [secret pem]', 'one line of a key file')
  const error = redactor.error({ code: 'X', message: 'bad s3cr3t-value', stack: 'Error: bad s3cr3t-value\n  at x', details: { header: 's3cr3t-value' }, cause: { code: 'Y', message: 's3cr3t-value' } })
  t.notMatch(JSON.stringify(error), /s3cr3t/)
  t.match(error, { code: 'X', message: 'bad [secret pw]', cause: { message: '[secret pw]' } })
  redactor.know('pw', 'the-next-one')
  t.notMatch(redactor.text('s3cr3t-value the-next-one'), /s3cr3t|next/, 'a call that began before still holds the old one')
  let deep: unknown = 's3cr3t-value'
  for (let n = 0; n < 20; n++) deep = { deep }
  t.notMatch(JSON.stringify(redactor.line(logLine({ fields: { deep } }))), /s3cr3t/)
  t.end()
})
