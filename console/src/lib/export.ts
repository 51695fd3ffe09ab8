type Rows = (string | null)[][]

/** Rows as CSV by RFC 4180, as PostgreSQL reads it: NULL is nothing, empty text is quoted. */
export function csvOf(columns: string[], rows: Rows): string {
  const field = (value: string | null) => {
    if (value === null) return ''
    return value === '' || /[",\r\n]/.test(value) || value.trim() !== value ? `"${value.replaceAll('"', '""')}"` : value
  }
  return [columns, ...rows]
    .map((row) => row.map(field).join(','))
    .join('\r\n')
    .concat('\r\n')
}

/** Rows as JSON. Values stay text, so that no number loses digits. */
export function jsonOf(columns: string[], rows: Rows): string {
  const lines = rows.map(
    (row) => `  {${columns.map((name, i) => `${JSON.stringify(name)}: ${JSON.stringify(row[i] ?? null)}`).join(', ')}}`,
  )
  return `[\n${lines.join(',\n')}\n]\n`
}

/** Hands text or bytes to the browser as a file. */
export function save(name: string, type: string, content: string | Uint8Array<ArrayBuffer>): void {
  const url = URL.createObjectURL(new Blob([content], { type }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
