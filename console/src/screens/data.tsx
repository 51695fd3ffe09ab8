import { useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { Lock, Pencil, Plus, Table2, Trash2 } from 'lucide-react'
import { type ReactNode, useCallback, useEffect, useMemo, useState } from 'react'
import { toast } from 'sonner'
import { catalogueQuery } from '@/api/catalogue'
import { data, type SavedRows } from '@/api/data'
import { ask, type Row, rowsOf } from '@/api/sql'
import type { Branch } from '@/api/types'
import { count } from '@/lib/format'
import { mayChange, useRights } from '@/lib/rights'
import {
  editsOf,
  exportSQL,
  hiddenColumns,
  nextRows,
  pageRows,
  pageSQL,
  placeColumns,
  qualified,
  type Table,
  type Value,
} from '@/lib/table-sql'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { copyText } from '@/ui/copy'
import { Select } from '@/ui/field'
import { Grid } from '@/ui/grid'
import { Empty, ErrorNotice, Panel, Skeleton } from '@/ui/pieces'
import { useBranch } from './branch'
import { type Cell, CellSheet } from './cell-sheet'
import { ExportMenu } from './data-export'
import { FilterBar, SortButton } from './data-filters'
import type { Peek } from './data-peek'
import { SaveDialog } from './data-save'
import { useStaged } from './data-staged'
import { type Editing, ValueDialog } from './data-value'
import { ColumnsMenu, plainView, type View, ViewsMenu } from './data-views'

const route = getRouteApi('/inside/projects/$project/branches/$branch/data')
const editFor = 15 * 60 * 1000
const whereOf = (b: Branch) => ({ project: b.project, branch: b.name })
export const nameOf = (t: Pick<Table, 'schema' | 'name'>) => (t.schema === 'public' ? t.name : `${t.schema}.${t.name}`)

/** The tables of a branch as its catalogue tells them. */
export function useTables(branch: Branch) {
  return useQuery(catalogueQuery(branch))
}

/** The rows of a branch's tables. */
export function BranchData() {
  const branch = useBranch()
  const { table: chosen } = route.useSearch()
  const navigate = route.useNavigate()
  const { data: tables, error } = useTables(branch)
  if (error) return <ErrorNotice error={error} />
  if (!tables) return <Skeleton className="h-96" />
  const table = tables.find((t) => qualified(t) === chosen) ?? tables[0]
  if (!table)
    return (
      <Panel>
        <Empty icon={Table2} title="There are no tables yet">
          Create one under Structure or with SQL, or let your application’s migrations do it.
        </Empty>
      </Panel>
    )
  return (
    <Panel className="flex flex-col">
      <div className="flex flex-wrap items-center gap-2 border-line border-b p-2">
        <Select
          aria-label="Table"
          value={qualified(table)}
          onValueChange={(to) => navigate({ search: { table: to }, replace: true })}
          className="w-64 max-w-full"
          options={tables.map((t) => ({ value: qualified(t), label: nameOf(t) }))}
        />
        <Link
          to="/projects/$project/branches/$branch/structure"
          params={whereOf(branch)}
          search={{ table: qualified(table) }}
          className="px-2 text-accent text-sm hover:underline"
        >
          Its structure
        </Link>
      </div>
      <TableRows key={qualified(table)} branch={branch} table={table} />
    </Panel>
  )
}

/** Whether editing is on. On production the server is asked for it, and there as here it ends by itself. */
function useEditing(branch: Branch): [boolean, (on: boolean) => Promise<void>] {
  const [editing, setEditing] = useState(false)
  const production = branch.environment === 'production'
  useEffect(() => {
    if (!editing || !production) return
    const timer = setTimeout(() => setEditing(false), editFor)
    return () => clearTimeout(timer)
  }, [editing, production])
  return [
    editing,
    async (on) => {
      if (production && on) await data.open(whereOf(branch))
      setEditing(on)
      // That it could not be ended earlier than by itself changes nothing here.
      if (production && !on) await data.close(whereOf(branch)).catch(() => {})
    },
  ]
}

/** The rows of a table under a view, page by page, with what tells where each stands. */
function useRows(branch: Branch, table: Table, view: View) {
  const skip = hiddenColumns(table, view.sorts)
  const pages = useInfiniteQuery({
    queryKey: ['rows', branch.id, table.schema, table.name, view.filters, view.sorts],
    initialPageParam: { last: null as Row | null, skip: 0 },
    queryFn: async ({ pageParam, signal }) => {
      // The first rows come at once; who goes on gets more at a time.
      const most = pageParam.last ? nextRows : pageRows
      const sql = pageSQL(table, view.filters, view.sorts, pageParam.last, pageParam.skip, most)
      const [result] = await ask(whereOf(branch), { sql, max_rows: most }, signal)
      const rows = rowsOf(result)
      return { rows, more: rows.length === most || (result?.truncated ?? false) }
    },
    getNextPageParam: (last, all) => {
      const end = last.rows.at(-1)
      if (!end || !last.more) return undefined
      return { last: end.slice(0, skip), skip: all.reduce((sum, p) => sum + p.rows.length, 0) }
    },
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
  })
  const whole = useMemo(() => pages.data?.pages.flatMap((p) => p.rows) ?? [], [pages.data])
  const rows = useMemo(() => whole.map((r) => r.slice(skip)), [whole, skip])
  const places = (which: number[]) =>
    which.flatMap((r) => (whole[r] ? [(whole[r] as Row).slice(0, placeColumns(table))] : []))
  return { pages, rows, places }
}

/** Which rows are selected; with Shift all between this one and the last. */
function useSelection() {
  const [selected, setSelected] = useState<ReadonlySet<number>>(new Set())
  const [last, setLast] = useState(0)
  return {
    selected,
    clear: () => setSelected(new Set()),
    all: (rows: number) => setSelected(new Set(Array.from({ length: rows }, (_, i) => i))),
    toggle: (row: number, through: boolean) => {
      const next = new Set(selected)
      const on = !next.has(row)
      const from = through ? Math.min(last, row) : row
      const to = through ? Math.max(last, row) : row
      for (let r = from; r <= to; r++) on ? next.add(r) : next.delete(r)
      setSelected(next)
      setLast(row)
    },
  }
}

function TableRows({ branch, table }: { branch: Branch; table: Table }) {
  const [view, setView] = useState<View>(plainView)
  const [cell, setCell] = useState<Cell | null>(null)
  const [value, setValue] = useState<Editing | null>(null)
  const [asking, setAsking] = useState<'edit' | 'save' | null>(null)
  const production = branch.environment === 'production'
  const [editing, setEditing] = useEditing(branch)
  const may = mayChange(useRights(branch.project), branch)
  const editable = table.kind === 'r' || table.kind === 'p'
  const client = useQueryClient()
  const { pages, rows, places } = useRows(branch, table, view)
  const staged = useStaged(table, rows)
  const chosen = useSelection()
  const { changes } = staged
  const shown = useMemo(
    () => table.columns.flatMap((c, i) => (view.hidden.includes(c.name) ? [] : [i])),
    [table, view.hidden],
  )
  const columns = useMemo(
    () =>
      shown.flatMap((i) => {
        const c = table.columns[i]
        const marks = [c && table.key.includes(c.name) && 'key', c && linkOf(table, c.name) && 'reference']
        return c ? [{ key: c.name, name: c.name, about: [c.type, ...marks].filter(Boolean).join(' · ') }] : []
      }),
    [table, shown],
  )
  // Staged rows are known by where they stand: another order is another list.
  const look = (next: View) => {
    if (changes.length > 0 && (next.filters !== view.filters || next.sorts !== view.sorts))
      return void toast.error('Save or discard your changes first')
    if (next.filters !== view.filters || next.sorts !== view.sorts) chosen.clear()
    setView(next)
  }
  const at = (c: number) => shown[c] ?? 0
  const open = (r: number, c: number) => {
    const column = table.columns[at(c)]
    if (!column) return
    const text = staged.read(r, at(c)) ?? null
    const peek = peekOf(table, column.name, (i) => staged.read(r, i) ?? null)
    if (editing && !column.generated && !staged.gone.has(r)) setValue({ row: r, column, text, peek })
    else setCell({ name: column.name, type: column.type, text, peek })
  }
  const reread = async () => {
    staged.discard()
    chosen.clear()
    setAsking(null)
    await client.invalidateQueries({ queryKey: ['rows', branch.id] })
  }
  const saved = async ({ undo }: SavedRows) => {
    await reread()
    toast.success('Saved', {
      description: undo && 'The way back can be copied and run as SQL.',
      action: undo ? { label: 'Copy the way back', onClick: () => copyText(undo) } : undefined,
    })
  }
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = pages
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) fetchNextPage()
  }, [hasNextPage, isFetchingNextPage, fetchNextPage])
  const sum = changes.length === 1 ? 'one change' : `${changes.length} changes`
  const names = shown.map((i) => table.columns[i]?.name ?? '')
  const marked = [...chosen.selected].filter((r) => r < rows.length)
  const exports = [
    ...(marked.length > 0 && placeColumns(table) > 0
      ? [
          {
            label: marked.length === 1 ? 'The selected row' : `The ${marked.length} selected rows`,
            sql: exportSQL(table, names, [], view.sorts, places(marked)),
          },
        ]
      : []),
    {
      label: view.filters.length > 0 ? 'All rows that match' : 'All rows',
      sql: exportSQL(table, names, view.filters, view.sorts, null),
    },
  ]
  return (
    <>
      <div className="flex flex-wrap items-center gap-2 border-line border-b p-2">
        <FilterBar table={table} filters={view.filters} onChange={(filters) => look({ ...view, filters })} />
        <span className="ml-auto flex flex-wrap items-center gap-2">
          <span className="text-faint text-xs">
            {count(rows.length)} read{table.estimate >= 0 && `, about ${count(table.estimate)} in all`}
          </span>
          <ColumnsMenu table={table} hidden={view.hidden} onHide={(hidden) => look({ ...view, hidden })} />
          <ViewsMenu
            project={branch.project}
            table={table}
            name={`${table.schema}.${table.name}`}
            view={view}
            onView={look}
          />
          <ExportMenu where={whereOf(branch)} name={table.name} exports={exports} />
          <EditBar may={may} editable={editable}>
            {editing && (
              <>
                <Button onClick={staged.insert}>
                  <Plus /> Insert row
                </Button>
                <Button
                  disabled={chosen.selected.size === 0}
                  onClick={() => {
                    staged.remove([...chosen.selected])
                    chosen.clear()
                  }}
                >
                  <Trash2 /> Delete selected
                </Button>
              </>
            )}
            <Button
              aria-pressed={editing}
              onClick={() => (editing || !production ? setEditing(!editing) : setAsking('edit'))}
            >
              <Pencil /> {editing ? 'Stop editing' : 'Edit'}
            </Button>
          </EditBar>
        </span>
      </div>
      {pages.error && <ErrorNotice error={pages.error} className="m-3" />}
      {pages.data && rows.length + staged.added.length === 0 ? (
        <Empty icon={Table2} title={view.filters.length > 0 ? 'No row matches' : 'The table is empty'}>
          {view.filters.length > 0 ? 'Change or remove a filter.' : 'Rows that are added show here.'}
        </Empty>
      ) : (
        <Grid
          label={`Rows of ${table.name}`}
          className="h-[calc(100dvh-20rem)] min-h-96"
          columns={columns}
          rows={rows.length + staged.added.length}
          value={(r, c) => staged.read(r, at(c))}
          look={(r, c) => {
            if (staged.gone.has(r)) return 'bg-production-soft line-through'
            return staged.isSet(r, at(c)) ? 'bg-warn-soft' : undefined
          }}
          onOpen={open}
          onEnd={more}
          head={(c) => (
            <SortButton name={names[c] ?? ''} sorts={view.sorts} onSort={(sorts) => look({ ...view, sorts })} />
          )}
          before={{
            width: 36,
            head: (
              <input
                type="checkbox"
                aria-label="Select all rows that were read"
                checked={rows.length > 0 && chosen.selected.size >= rows.length}
                onChange={(e) => (e.target.checked ? chosen.all(rows.length) : chosen.clear())}
              />
            ),
            cell: (r) => (
              <input
                type="checkbox"
                aria-label={`Select row ${r + 1}`}
                checked={chosen.selected.has(r)}
                onChange={(e) => chosen.toggle(r, (e.nativeEvent as MouseEvent).shiftKey)}
              />
            ),
          }}
        />
      )}
      {changes.length > 0 && (
        <div className="flex flex-wrap items-center justify-between gap-2 border-warn/40 border-t bg-warn-soft p-2 text-sm">
          <span>{sum} not saved</span>
          <span className="flex gap-2">
            <Button onClick={staged.discard}>Discard</Button>
            <Button variant={production ? 'danger' : 'primary'} disabled={!editing} onClick={() => setAsking('save')}>
              Save {sum}…
            </Button>
          </span>
        </div>
      )}
      <CellSheet cell={cell} where={whereOf(branch)} onClose={() => setCell(null)} />
      {value && (
        <ValueDialog
          where={whereOf(branch)}
          editing={value}
          onClose={() => setValue(null)}
          onStage={(r, column, text: Value) => {
            setValue(null)
            staged.stage(r, column, text)
          }}
        />
      )}
      <Confirm
        open={asking === 'edit'}
        onOpenChange={(o) => setAsking(o ? 'edit' : null)}
        title="Edit production’s rows?"
        action="Edit for 15 minutes"
        production
        onConfirm={() => setEditing(true)}
      >
        Nothing changes until you save, and you are shown the SQL first. What the rows were and become is written to the
        audit trail.
      </Confirm>
      {asking === 'save' && (
        <SaveDialog
          branch={branch}
          edits={editsOf(table, changes)}
          sum={sum}
          onClose={() => setAsking(null)}
          onSaved={saved}
          onReread={reread}
        />
      )}
    </>
  )
}

function EditBar({ may, editable, children }: { may: boolean; editable: boolean; children: ReactNode }) {
  if (!may)
    return (
      <span className="flex items-center gap-1 text-muted text-xs">
        <Lock className="size-3.5" aria-hidden /> Read-only
      </span>
    )
  if (!editable) return <span className="text-muted text-xs">Not editable: it is no table of its own.</span>
  return children
}

function linkOf(table: Table, column: string) {
  return table.links.find((l) => l.columns.includes(column))
}

/** The row that a value points to, when it points to one. */
function peekOf(table: Table, column: string, read: (i: number) => Value): Peek | null {
  const link = linkOf(table, column)
  const values = link?.columns.map((name) => read(table.columns.findIndex((c) => c.name === name))) ?? []
  return link && values.every((v) => v !== null) ? { link, values } : null
}
