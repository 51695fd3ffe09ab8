import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Bookmark, Columns3, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { data } from '@/api/data'
import { asProblem } from '@/api/problem'
import type { Filter, Sort, Table } from '@/lib/table-sql'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { Field, Input } from '@/ui/field'
import { Menu, MenuContent, MenuItem, MenuLabel, MenuLine, MenuTrigger } from '@/ui/menu'

/** How a table is looked at. */
export type View = { filters: Filter[]; sorts: Sort[]; hidden: string[] }

export const plainView: View = { filters: [], sorts: [], hidden: [] }

/** Reads a kept view as far as the table still has its columns. */
function readView(text: string, table: Table): View {
  const kept = JSON.parse(text) as Partial<View>
  const known = (name: string) => table.columns.some((c) => c.name === name)
  return {
    filters: (kept.filters ?? []).filter((f) => known(f.column)),
    sorts: (kept.sorts ?? []).filter((s) => known(s.column)),
    hidden: (kept.hidden ?? []).filter(known),
  }
}

/** What the signed-in person keeps for the project: views and queries. */
export function useKeptItems(project: string) {
  return useQuery({
    queryKey: ['kept', project],
    staleTime: 30_000,
    queryFn: ({ signal }) => data.kept(project, signal),
  })
}

type Props = { project: string; table: Table; name: string; view: View; onView: (v: View) => void }

/** The views of a table that the person keeps on the server. */
export function ViewsMenu({ project, table, name, view, onView }: Props) {
  const client = useQueryClient()
  const [naming, setNaming] = useState(false)
  const kept = (useKeptItems(project).data ?? []).filter((k) => k.kind === 'view' && k.table === name)
  const forget = async (id: string) => {
    try {
      await data.forget(project, id)
      await client.invalidateQueries({ queryKey: ['kept', project] })
    } catch (thrown) {
      toast.error(asProblem(thrown).message)
    }
  }
  return (
    <>
      <Menu>
        <MenuTrigger asChild>
          <Button size="sm" variant="ghost">
            <Bookmark /> Views
          </Button>
        </MenuTrigger>
        <MenuContent align="end">
          <MenuLabel>Kept for you in this project</MenuLabel>
          {kept.map((k) => (
            <MenuItem key={k.id} onSelect={() => onView(readView(k.body, table))}>
              {k.name}
            </MenuItem>
          ))}
          <MenuItem onSelect={() => onView(plainView)}>Everything</MenuItem>
          <MenuLine />
          <MenuItem onSelect={() => setNaming(true)}>Keep this view…</MenuItem>
          {kept.map((k) => (
            <MenuItem key={k.id} danger onSelect={() => forget(k.id)}>
              <Trash2 /> Forget {k.name}
            </MenuItem>
          ))}
        </MenuContent>
      </Menu>
      {naming && (
        <KeepDialog
          title="Keep this view"
          about="Its filters, its order and the columns that it hides."
          onClose={() => setNaming(false)}
          onKeep={async (as) => {
            await data.keep(project, { kind: 'view', table: name, name: as, body: JSON.stringify(view) })
            await client.invalidateQueries({ queryKey: ['kept', project] })
          }}
        />
      )}
    </>
  )
}

/** Asks for a name to keep something under. The same name again replaces it. */
export function KeepDialog({
  title,
  about,
  onKeep,
  onClose,
}: {
  title: string
  about: string
  onKeep: (name: string) => Promise<unknown>
  onClose: () => void
}) {
  const [name, setName] = useState('')
  return (
    <Confirm
      open
      onOpenChange={(o) => !o && onClose()}
      title={title}
      action="Keep"
      onConfirm={async () => {
        if (name.trim() === '') throw new Error('It needs a name')
        await onKeep(name.trim())
      }}
    >
      <div className="flex flex-col gap-3">
        <p>{about}</p>
        <Field label="Name" hint="The same name again takes its place.">
          {(ids) => <Input {...ids} autoFocus maxLength={100} value={name} onChange={(e) => setName(e.target.value)} />}
        </Field>
      </div>
    </Confirm>
  )
}

/** Which columns are shown. */
export function ColumnsMenu({
  table,
  hidden,
  onHide,
}: {
  table: Table
  hidden: string[]
  onHide: (h: string[]) => void
}) {
  const [search, setSearch] = useState('')
  const found = table.columns.filter((c) => c.name.toLowerCase().includes(search.toLowerCase()))
  const most = 200 // what is more is found by its name
  return (
    <Menu onOpenChange={() => setSearch('')}>
      <MenuTrigger asChild>
        <Button size="sm" variant="ghost">
          <Columns3 /> Columns{hidden.length > 0 && ` (${hidden.length} hidden)`}
        </Button>
      </MenuTrigger>
      <MenuContent align="end" className="max-h-96 w-64">
        <Input
          aria-label="Find a column"
          placeholder="Find a column"
          value={search}
          onChange={(e) => setSearch(e.target.value)}
          onKeyDown={(e) => e.stopPropagation()}
          className="mb-1"
        />
        <MenuItem onSelect={() => onHide([])} disabled={hidden.length === 0}>
          Show all
        </MenuItem>
        <MenuLine />
        {found.slice(0, most).map((c) => {
          const shown = !hidden.includes(c.name)
          return (
            <MenuItem
              key={c.name}
              aria-label={`${shown ? 'Hide' : 'Show'} ${c.name}`}
              onSelect={(event) => {
                event.preventDefault() // the menu stays open
                onHide(shown ? [...hidden, c.name] : hidden.filter((h) => h !== c.name))
              }}
            >
              <input type="checkbox" checked={shown} readOnly tabIndex={-1} aria-hidden />
              <span className="truncate">{c.name}</span>
            </MenuItem>
          )
        })}
        {found.length > most && <MenuLabel>{found.length - most} more: type a part of the name</MenuLabel>}
      </MenuContent>
    </Menu>
  )
}
