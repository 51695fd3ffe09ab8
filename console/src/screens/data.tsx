import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query'
import { ArrowDown, ArrowUp, ArrowUpDown, Lock, Pencil, Plus, Table2, Trash2, X } from 'lucide-react'
import { useCallback, useEffect, useMemo, useState } from 'react'
import { toast } from 'sonner'
import { ask, type Row, rowsOf } from '@/api/sql'
import type { Branch } from '@/api/types'
import { count } from '@/lib/format'
import { mayChange, useRights } from '@/lib/rights'
import {
  type Change,
  catalogueSQL,
  type Filter,
  hiddenColumns,
  type Operator,
  pageRows,
  pageSQL,
  readTable,
  type Sort,
  saveSQL,
  type Table,
  undoSQL,
  type Value,
} from '@/lib/table-sql'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { CopyButton } from '@/ui/copy'
import { Input, Select } from '@/ui/field'
import { Grid } from '@/ui/grid'
import { Empty, ErrorNotice, Panel, Skeleton } from '@/ui/pieces'
import { useBranch } from './branch'
import { type Cell, CellSheet } from './cell-sheet'
import { type Editing, ValueDialog } from './data-value'
import { ExportMenu } from './sql-results'

const editFor = 15 * 60 * 1000
const whereOf = (b: Branch) => ({ project: b.project, branch: b.name })

/** The rows of a branch's tables. */
export function BranchData() {
  const branch = useBranch()
  const [chosen, setChosen] = useState<string | null>(null)
  const { data: tables, error } = useQuery({
    queryKey: ['tables', branch.id],
    staleTime: 60_000,
    queryFn: async ({ signal }) => {
      const [result] = await ask(whereOf(branch), { sql: catalogueSQL, max_rows: 10_000 }, signal)
      return rowsOf(result).map(readTable)
    },
  })
  if (error) return <ErrorNotice error={error} />
  if (!tables) return <Skeleton className="h-96" />
  const nameOf = (t: Table) => (t.schema === 'public' ? t.name : `${t.schema}.${t.name}`)
  const table = tables.find((t) => nameOf(t) === chosen) ?? tables[0]
  if (!table)
    return (
      <Panel>
        <Empty icon={Table2} title="There are no tables yet">
          Create one with SQL, or let your application’s migrations do it.
        </Empty>
      </Panel>
    )
  return (
    <Panel className="flex flex-col">
      <div className="border-line border-b p-2">
        <Select
          aria-label="Table"
          value={nameOf(table)}
          onValueChange={setChosen}
          className="w-64 max-w-full"
          options={tables.map((t) => ({ value: nameOf(t), label: nameOf(t) }))}
        />
      </div>
      <TableRows key={nameOf(table)} branch={branch} table={table} />
    </Panel>
  )
}

/** Whether editing is on. On production it ends by itself. */
function useEditing(production: boolean): [boolean, (on: boolean) => void] {
  const [editing, setEditing] = useState(false)
  useEffect(() => {
    if (!editing || !production) return
    const timer = setTimeout(() => setEditing(false), editFor)
    return () => clearTimeout(timer)
  }, [editing, production])
  return [editing, setEditing]
}

function TableRows({ branch, table }: { branch: Branch; table: Table }) {
  const [filters, setFilters] = useState<Filter[]>([])
  const [sort, setSort] = useState<Sort | null>(null)
  const [sets, setSets] = useState<Record<number, Record<string, Value>>>({})
  const [gone, setGone] = useState<number[]>([])
  const [added, setAdded] = useState<Record<string, Value>[]>([])
  const [cell, setCell] = useState<Cell | null>(null)
  const [value, setValue] = useState<Editing | null>(null)
  const [asking, setAsking] = useState<'edit' | 'save' | null>(null)
  const production = branch.environment === 'production'
  const [editing, setEditing] = useEditing(production)
  const may = mayChange(useRights(branch.project), branch)
  const editable = table.key.length > 0 && (table.kind === 'r' || table.kind === 'p')
  const client = useQueryClient()
  const skip = hiddenColumns(table, sort)
  const pages = useInfiniteQuery({
    queryKey: ['rows', branch.id, table.schema, table.name, filters, sort],
    initialPageParam: { last: null as Row | null, skip: 0 },
    queryFn: async ({ pageParam, signal }) => {
      const sql = pageSQL(table, filters, sort, pageParam.last, pageParam.skip)
      const [result] = await ask(whereOf(branch), { sql, max_rows: pageRows }, signal)
      return { rows: rowsOf(result), cut: result?.truncated ?? false }
    },
    getNextPageParam: (last, all) => {
      const end = last.rows.at(-1)
      if (!end || (last.rows.length < pageRows && !last.cut)) return undefined
      return { last: end.slice(0, skip), skip: all.reduce((sum, p) => sum + p.rows.length, 0) }
    },
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
  })
  const rows = useMemo(
    () => pages.data?.pages.flatMap((p) => p.rows.map((r) => r.slice(skip))) ?? [],
    [pages.data, skip],
  )
  const columns = useMemo(
    () =>
      table.columns.map((c) => ({
        key: c.name,
        name: c.name,
        about: `${c.type}${table.key.includes(c.name) ? ' · key' : ''}`,
      })),
    [table],
  )
  const changes: Change[] = [
    ...Object.entries(sets).flatMap(([r, set]): Change[] => {
      const row = rows[Number(r)]
      return row && !gone.includes(Number(r)) ? [{ kind: 'update', row, set }] : []
    }),
    ...gone.flatMap((r): Change[] => (rows[r] ? [{ kind: 'delete', row: rows[r] }] : [])),
    ...added.map((set): Change => ({ kind: 'insert', set })),
  ]
  const discard = () => {
    setSets({})
    setGone([])
    setAdded([])
  }
  // Staged rows are known by where they stand: another order is another list.
  const view = (next: () => void) => {
    if (changes.length > 0) return void toast.error('Save or discard your changes first')
    next()
  }
  const name = (column: number) => table.columns[column]?.name ?? ''
  const read = (r: number, c: number): Value | undefined => {
    if (r >= rows.length) return added[r - rows.length]?.[name(c)]
    const set = sets[r]
    return set && name(c) in set ? set[name(c)] : rows[r]?.[c]
  }
  const open = (r: number, c: number) => {
    const column = table.columns[c]
    if (!column) return
    if (editing && !column.generated && !gone.includes(r)) setValue({ row: r, column, text: read(r, c) ?? null })
    else setCell({ name: column.name, type: column.type, text: read(r, c) ?? null })
  }
  const stage = (r: number, column: string, text: Value) => {
    setValue(null)
    if (r >= rows.length) {
      setAdded(added.map((set, i) => (i === r - rows.length ? { ...set, [column]: text } : set)))
      return
    }
    const { [column]: _, ...rest } = sets[r] ?? {}
    const original = rows[r]?.[table.columns.findIndex((x) => x.name === column)] ?? null
    const next = text === original ? rest : { ...rest, [column]: text }
    const { [r]: __, ...others } = sets
    setSets(Object.keys(next).length > 0 ? { ...others, [r]: next } : others)
  }
  const remove = (r: number) => {
    if (r >= rows.length) setAdded(added.filter((_, i) => i !== r - rows.length))
    else setGone(gone.includes(r) ? gone.filter((g) => g !== r) : [...gone, r])
  }
  const save = async () => {
    const undo = undoSQL(table, changes)
    await ask(whereOf(branch), { sql: saveSQL(table, changes), write: true })
    discard()
    toast.success('Saved', {
      description: undo === '' ? undefined : 'The way back can be copied and run as SQL.',
      action:
        undo === '' ? undefined : { label: 'Copy the way back', onClick: () => navigator.clipboard?.writeText(undo) },
    })
    await client.invalidateQueries({ queryKey: ['rows', branch.id] })
  }
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = pages
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) fetchNextPage()
  }, [hasNextPage, isFetchingNextPage, fetchNextPage])
  const sum = changes.length === 1 ? 'one change' : `${changes.length} changes`
  return (
    <>
      <div className="flex flex-wrap items-center gap-2 border-line border-b p-2">
        <FilterBar table={table} filters={filters} onChange={(f) => view(() => setFilters(f))} />
        <span className="ml-auto flex flex-wrap items-center gap-2">
          <span className="text-faint text-xs">
            {count(rows.length)} read{table.estimate >= 0 && `, about ${count(table.estimate)} in all`}
          </span>
          {rows.length > 0 && <ExportMenu columns={columns.map((c) => c.name)} rows={rows} name={table.name} />}
          {!may ? (
            <span className="flex items-center gap-1 text-muted text-xs">
              <Lock className="size-3.5" aria-hidden /> Read-only
            </span>
          ) : editable ? (
            <>
              {editing && (
                <Button onClick={() => setAdded([...added, {}])}>
                  <Plus /> Insert row
                </Button>
              )}
              <Button
                aria-pressed={editing}
                onClick={() => (editing ? setEditing(false) : production ? setAsking('edit') : setEditing(true))}
              >
                <Pencil /> {editing ? 'Stop editing' : 'Edit'}
              </Button>
            </>
          ) : (
            <span className="text-muted text-xs">Not editable: its rows have no primary key to tell them apart.</span>
          )}
        </span>
      </div>
      {pages.error && <ErrorNotice error={pages.error} className="m-3" />}
      {pages.data && rows.length + added.length === 0 ? (
        <Empty icon={Table2} title={filters.length > 0 ? 'No row matches' : 'The table is empty'}>
          {filters.length > 0 ? 'Change or remove a filter.' : 'Rows that are added show here.'}
        </Empty>
      ) : (
        <Grid
          label={`Rows of ${table.name}`}
          className="h-[calc(100dvh-20rem)] min-h-96"
          columns={columns}
          rows={rows.length + added.length}
          value={read}
          look={(r, c) => {
            if (gone.includes(r)) return 'bg-production-soft line-through'
            return r >= rows.length || name(c) in (sets[r] ?? {}) ? 'bg-warn-soft' : undefined
          }}
          onOpen={open}
          onEnd={more}
          head={(c) => <SortButton name={name(c)} sort={sort} onSort={(s) => view(() => setSort(s))} />}
          before={
            editing
              ? {
                  width: 40,
                  cell: (r) => (
                    <Button variant="ghost" size="icon-sm" aria-label={`Delete row ${r + 1}`} onClick={() => remove(r)}>
                      <Trash2 />
                    </Button>
                  ),
                }
              : undefined
          }
        />
      )}
      {changes.length > 0 && (
        <div className="flex flex-wrap items-center justify-between gap-2 border-warn/40 border-t bg-warn-soft p-2 text-sm">
          <span>{sum} not saved</span>
          <span className="flex gap-2">
            <Button onClick={discard}>Discard</Button>
            <Button variant={production ? 'danger' : 'primary'} disabled={!editing} onClick={() => setAsking('save')}>
              Save {sum}…
            </Button>
          </span>
        </div>
      )}
      <CellSheet cell={cell} onClose={() => setCell(null)} />
      {value && <ValueDialog editing={value} onClose={() => setValue(null)} onStage={stage} />}
      <Confirm
        open={asking === 'edit'}
        onOpenChange={(o) => setAsking(o ? 'edit' : null)}
        title="Edit production’s rows?"
        action="Edit for 15 minutes"
        production
        onConfirm={async () => setEditing(true)}
      >
        Nothing changes until you save, and you are shown the SQL first.
      </Confirm>
      <Confirm
        open={asking === 'save'}
        onOpenChange={(o) => setAsking(o ? 'save' : null)}
        title={`Save ${sum}?`}
        action="Save"
        production={production}
        onConfirm={save}
      >
        <p>This is what runs, as a whole or not at all:</p>
        <pre data-testid="save-sql" className="mt-2 max-h-72 overflow-auto rounded-md bg-sunken p-2 text-2xs">
          {asking === 'save' ? saveSQL(table, changes) : ''}
        </pre>
        {asking === 'save' && <CopyButton text={saveSQL(table, changes)} label="Copy the SQL" className="mt-2" />}
      </Confirm>
    </>
  )
}

function SortButton({ name, sort, onSort }: { name: string; sort: Sort | null; onSort: (s: Sort | null) => void }) {
  const here = sort?.column === name ? sort : null
  const Icon = here ? (here.down ? ArrowDown : ArrowUp) : ArrowUpDown
  return (
    <button
      type="button"
      aria-label={`Sort by ${name}`}
      className="text-faint hover:text-text"
      onClick={() => onSort(here?.down ? null : { column: name, down: here !== null })}
    >
      <Icon className="size-3.5" aria-hidden />
    </button>
  )
}

const operators: { value: Operator; label: string }[] = [
  { value: '=', label: 'is' },
  { value: '<>', label: 'is not' },
  { value: 'contains', label: 'contains' },
  { value: '<', label: '<' },
  { value: '<=', label: '≤' },
  { value: '>', label: '>' },
  { value: '>=', label: '≥' },
  { value: 'null', label: 'is NULL' },
  { value: 'not null', label: 'is not NULL' },
]

function FilterBar({ table, filters, onChange }: { table: Table; filters: Filter[]; onChange: (f: Filter[]) => void }) {
  const [column, setColumn] = useState(table.columns[0]?.name ?? '')
  const [operator, setOperator] = useState<Operator>('=')
  const [value, setValue] = useState('')
  return (
    <form
      className="flex flex-wrap items-center gap-1.5"
      onSubmit={(event) => {
        event.preventDefault()
        onChange([...filters, { column, operator, value }])
        setValue('')
      }}
    >
      <select
        aria-label="Filter by column"
        value={column}
        onChange={(e) => setColumn(e.target.value)}
        className="h-8 max-w-40 rounded-md border border-line-strong bg-panel px-2 text-sm"
      >
        {table.columns.map((c) => (
          <option key={c.name}>{c.name}</option>
        ))}
      </select>
      <Select
        aria-label="Comparison"
        value={operator}
        onValueChange={(o) => setOperator(o as Operator)}
        options={operators}
        className="w-28"
      />
      {!operator.endsWith('null') && (
        <Input aria-label="Filter value" value={value} onChange={(e) => setValue(e.target.value)} className="w-36" />
      )}
      <Button type="submit">Filter</Button>
      {filters.map((f, i) => (
        <Button
          // biome-ignore lint/suspicious/noArrayIndexKey: filters have no other identity than their order
          key={i}
          size="sm"
          aria-label={`Remove the filter on ${f.column}`}
          onClick={() => onChange(filters.filter((_, j) => j !== i))}
        >
          {f.column} {operators.find((o) => o.value === f.operator)?.label} {f.value.slice(0, 24)} <X />
        </Button>
      ))}
    </form>
  )
}
