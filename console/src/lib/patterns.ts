/** A table's name as a pattern that matches it and no other. */
export function patternOf(schema: string, table: string): string {
  const part = (name: string) => (/^[a-z_][a-z0-9_$]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`)
  return `${part(schema)}.${part(table)}`
}

/** Patterns as they are typed, between commas or lines; a comma within quotes belongs to the name. */
export function patternsOf(text: string): string[] {
  const parts = text.match(/(?:"(?:[^"]|"")*"|[^,\n"])+/g) ?? []
  return parts.map((p) => p.trim()).filter((p) => p !== '')
}
