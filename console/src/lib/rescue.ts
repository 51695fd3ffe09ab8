import type { Comparison, RescueChange } from '@/api/rescue'

type Values = (string | null)[]

/** A value for a line of text: short, and NULL told from the word. */
function shown(value: string | null | undefined): string {
  if (value === null || value === undefined) return 'NULL'
  return value.length > 60 ? `${value.slice(0, 60)}…` : value
}

/** What a repair does to a row, column by column: only what differs of a changed one. */
export function differences(columns: string[], change: RescueChange): { column: string; text: string }[] {
  const then = (change.then ?? []) as Values
  const now = (change.now ?? []) as Values
  return columns.flatMap((column, i) => {
    if (change.kind === 'changed') {
      if (then[i] === now[i]) return []
      return [{ column, text: `${shown(now[i])} → ${shown(then[i])}` }]
    }
    return [{ column, text: shown((change.kind === 'deleted' ? then : now)[i]) }]
  })
}

/** The repairs as one script, of the rows that are shown. */
export function scriptOf(c: Comparison): string {
  const statements = c.changes.flatMap((change) => (change.sql ? [`${change.sql.replace(/;?\s*$/, '')};`] : []))
  return ['BEGIN;', c.table.preamble.trim(), ...statements, 'COMMIT;'].filter(Boolean).join('\n')
}
