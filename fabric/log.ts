// Structured log lines of a node: one JSON object a line, on the given stream; owner of pino.

import { pino } from 'pino'

export type Fields = Readonly<Record<string, unknown>>

export interface Log {
  info(message: string, fields?: Fields): void
  warn(message: string, fields?: Fields): void
  error(message: string, fields?: Fields): void
}

/** Lines carry the node's name; `write` takes whole lines. */
export function createLog(node: string, write: (line: string) => void): Log {
  const logger = pino({ base: { node }, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'message', formatters: { level: (level) => ({ level }) } }, { write })
  return {
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
  }
}
