import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link } from '@tanstack/react-router'
import { Pencil, Plus, Table2, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { structure, type TableStructure, tablesQuery } from '@/api/structure'
import type { Branch } from '@/api/types'
import { dropTableSQL } from '@/lib/ddl'
import { count } from '@/lib/format'
import { mayChange, useRights } from '@/lib/rights'
import { qualified } from '@/lib/table-sql'
import { Button } from '@/ui/button'
import { Select } from '@/ui/field'
import { Empty, ErrorNotice, Notice, Panel, Skeleton } from '@/ui/pieces'
import { useBranch } from './branch'
import { type Change, drop } from './structure-change'
import { ChangeForm } from './structure-forms'
import { Parts } from './structure-parts'

const route = getRouteApi('/inside/projects/$project/branches/$branch/structure')
const whereOf = (b: Branch) => ({ project: b.project, branch: b.name })
const labelOf = (t: { schema: string; name: string }) => (t.schema === 'public' ? t.name : `${t.schema}.${t.name}`)

/** What the tables of a branch are made of. It is changed in development; production gets it by publishing. */
export function BranchStructure() {
  const branch = useBranch()
  const { table: chosen } = route.useSearch()
  const navigate = route.useNavigate()
  const [change, setChange] = useState<Change | null>(null)
  const may = mayChange(useRights(branch.project), branch) && branch.environment !== 'production'
  const where = whereOf(branch)
  const tables = useQuery(tablesQuery(branch))
  const current = tables.data?.find((t) => qualified(t) === chosen) ?? tables.data?.[0]
  const name = current ? qualified(current) : ''
  const table = useQuery({
    queryKey: ['structure', branch.id, name],
    enabled: name !== '',
    staleTime: 10_000,
    queryFn: ({ signal }) => structure.table(where, name, signal),
  })
  const choose = (to: string | undefined) => navigate({ search: to === undefined ? {} : { table: to }, replace: true })
  if (tables.error) return <ErrorNotice error={tables.error} />
  if (!tables.data) return <Skeleton className="h-96" />
  const make = may && (
    <Button variant={current ? 'secondary' : 'primary'} onClick={() => setChange({ form: 'new table' })}>
      <Plus /> New table
    </Button>
  )
  return (
    <>
      {branch.environment === 'production' && <FromDevelopment branch={branch} />}
      <Panel>
        {current ? (
          <div className="flex flex-wrap items-center gap-2 border-line border-b p-2">
            <Select
              aria-label="Table"
              value={name}
              onValueChange={choose}
              className="w-64 max-w-full"
              options={tables.data.map((t) => ({ value: qualified(t), label: labelOf(t) }))}
            />
            <Link
              to="/projects/$project/branches/$branch/data"
              params={where}
              search={{ table: name }}
              className="px-2 text-accent text-sm hover:underline"
            >
              Rows
            </Link>
            <span className="ml-auto flex flex-wrap gap-2">
              {may && table.data && <TableActions table={table.data} onChange={setChange} />}
              {make}
            </span>
          </div>
        ) : (
          <Empty icon={Table2} title="There are no tables yet" action={make || undefined}>
            {may
              ? 'Make one here or with SQL, or let your application’s migrations do it.'
              : 'Nothing was made here yet.'}
          </Empty>
        )}
        {table.error && <ErrorNotice error={table.error} className="m-3" />}
        {table.data ? (
          <Parts branch={branch} table={table.data} may={may} onChange={setChange} />
        ) : (
          current && !table.error && <Skeleton className="m-3 h-64" />
        )}
      </Panel>
      {change && (
        <ChangeForm
          change={change}
          branch={branch}
          table={table.data}
          tables={tables.data}
          onClose={() => setChange(null)}
          onDone={(named) => {
            setChange(null)
            if (named !== undefined) choose(named ? qualified(named) : undefined)
          }}
        />
      )}
    </>
  )
}

function FromDevelopment({ branch }: { branch: Branch }) {
  return (
    <div className="mb-3">
      <Notice tone="accent" icon={Table2}>
        <span>
          Production’s structure changes by publishing: change it in development, look at the plan, publish it.
        </span>
        <span className="flex gap-3">
          <Link
            to="/projects/$project/branches/$branch/structure"
            params={{ project: branch.project, branch: 'development' }}
            className="text-accent hover:underline"
          >
            Structure of development
          </Link>
          <Link
            to="/projects/$project/publish"
            params={{ project: branch.project }}
            className="text-accent hover:underline"
          >
            Publish
          </Link>
        </span>
      </Notice>
    </div>
  )
}

function TableActions({ table, onChange }: { table: TableStructure; onChange: (change: Change) => void }) {
  const name = qualified(table)
  return (
    <>
      <Button onClick={() => onChange({ form: 'change table' })}>
        <Pencil /> Change
      </Button>
      <Button
        onClick={() =>
          onChange(
            drop(
              table.name,
              dropTableSQL(table.kind, name),
              table.rows > 0 ? `It has about ${count(table.rows)} rows, which go with it.` : 'Its rows go with it.',
              true,
            ),
          )
        }
      >
        <Trash2 /> Drop
      </Button>
    </>
  )
}
