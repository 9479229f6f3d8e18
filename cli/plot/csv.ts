// Rows -> CSV as RFC 4180 has it: fields with commas, quotes or line breaks are quoted; an absent value is empty. Pure.

export type CsvField = string | number | undefined

const field = (value: CsvField): string => {
  const text = value === undefined ? '' : typeof value === 'number' ? String(Math.round(value * 10_000) / 10_000) : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

export const csvText = (header: readonly string[], rows: readonly (readonly CsvField[])[]): string =>
  `${[header, ...rows].map((row) => row.map(field).join(',')).join('\n')}\n`
