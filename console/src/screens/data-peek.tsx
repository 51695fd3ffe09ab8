import { useQuery } from '@tanstack/react-query'
import { ask, rowsOf, type Where } from '@/api/sql'
import { type Link, peekSQL, type Value } from '@/lib/table-sql'
import { ErrorNotice, Skeleton } from '@/ui/pieces'

/** The row that a value points to. */
export type Peek = { link: Link; values: Value[] }

const longest = 300

/** Shows the row that a foreign key points to. */
export function PeekRow({ where, peek }: { where: Where; peek: Peek }) {
  const { link, values } = peek
  const { data: found, error } = useQuery({
    queryKey: ['peek', where.project, where.branch, link, values],
    gcTime: 0,
    queryFn: async ({ signal }) => {
      const [result] = await ask(where, { sql: peekSQL(link, values), max_rows: 1 }, signal)
      return { columns: result?.columns ?? [], row: rowsOf(result)[0] }
    },
  })
  const name = link.schema === 'public' ? link.table : `${link.schema}.${link.table}`
  return (
    <section aria-label={`The row of ${name}`} className="rounded-lg border border-line">
      <h3 className="border-line border-b px-3 py-2 font-medium text-sm">The row of {name}</h3>
      {error && <ErrorNotice error={error} className="m-3" />}
      {!found && !error && <Skeleton className="m-3 h-16" />}
      {found && !found.row && <p className="p-3 text-muted text-sm">There is no such row.</p>}
      {found?.row && (
        <dl className="grid max-h-72 grid-cols-[minmax(0,1fr)_minmax(0,2fr)] gap-x-4 gap-y-1 overflow-y-auto p-3 text-xs">
          {found.columns.map((c, i) => {
            const value = found.row?.[i] ?? null
            return (
              // biome-ignore lint/suspicious/noArrayIndexKey: columns of one row have no other identity than their order
              <div key={i} className="contents">
                <dt className="truncate text-muted">{c.name}</dt>
                <dd className="break-all font-mono">
                  {value === null ? <span className="text-faint italic">NULL</span> : value.slice(0, longest)}
                </dd>
              </div>
            )
          })}
        </dl>
      )}
    </section>
  )
}
