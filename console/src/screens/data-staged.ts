import { useMemo, useState } from 'react'
import type { Row } from '@/api/sql'
import type { Change, Table, Value } from '@/lib/table-sql'

/** Changes that are staged and not saved. Rows behind those that were read are new ones. */
export function useStaged(table: Table, rows: Row[]) {
  const [sets, setSets] = useState<Record<number, Record<string, Value>>>({})
  const [gone, setGone] = useState<ReadonlySet<number>>(new Set())
  const [added, setAdded] = useState<Record<string, Value>[]>([])
  const changes: Change[] = useMemo(
    () => [
      ...Object.entries(sets).flatMap(([r, set]): Change[] => {
        const row = rows[Number(r)]
        return row && !gone.has(Number(r)) ? [{ kind: 'update', row, set }] : []
      }),
      ...[...gone].flatMap((r): Change[] => (rows[r] ? [{ kind: 'delete', row: rows[r] }] : [])),
      ...added.map((set): Change => ({ kind: 'insert', set })),
    ],
    [sets, gone, added, rows],
  )
  const name = (column: number) => table.columns[column]?.name ?? ''
  return {
    changes,
    gone,
    added,
    isSet: (r: number, c: number) => r >= rows.length || name(c) in (sets[r] ?? {}),
    read: (r: number, c: number): Value | undefined => {
      if (r >= rows.length) return added[r - rows.length]?.[name(c)]
      const set = sets[r]
      return set && name(c) in set ? set[name(c)] : rows[r]?.[c]
    },
    insert: () => setAdded([...added, {}]),
    stage: (r: number, column: string, text: Value) => {
      if (r >= rows.length) {
        setAdded(added.map((set, i) => (i === r - rows.length ? { ...set, [column]: text } : set)))
        return
      }
      const { [column]: _, ...rest } = sets[r] ?? {}
      const original = rows[r]?.[table.columns.findIndex((x) => x.name === column)] ?? null
      const next = text === original ? rest : { ...rest, [column]: text }
      const { [r]: __, ...others } = sets
      setSets(Object.keys(next).length > 0 ? { ...others, [r]: next } : others)
    },
    /** Stages that rows are deleted; when all of them are already, that they stay. */
    remove: (which: number[]) => {
      const read = which.filter((r) => r < rows.length)
      const stay = read.length > 0 && read.every((r) => gone.has(r))
      setGone(stay ? new Set([...gone].filter((r) => !read.includes(r))) : new Set([...gone, ...read]))
      setAdded(added.filter((_, i) => !which.includes(i + rows.length)))
    },
    discard: () => {
      setSets({})
      setGone(new Set())
      setAdded([])
    },
  }
}
