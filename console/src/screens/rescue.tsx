import { useMutation } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { LifeBuoy, Search } from 'lucide-react'
import { lazy, Suspense, useEffect, useRef, useState } from 'react'
import { asProblem } from '@/api/problem'
import { type Comparison, type Rescue, rescues, shownChanges } from '@/api/rescue'
import { lookAt } from '@/api/sql'
import { count, words } from '@/lib/format'
import { differences, scriptOf } from '@/lib/rescue'
import { mayChange, useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { CopyButton } from '@/ui/copy'
import { Field, Input, Select } from '@/ui/field'
import { Badge, Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { useBranch } from './branch'
import { nameOf, useTables } from './data'
import { MomentFields } from './history-moment'
import { JobDialog } from './job-dialog'
import { useKeptLook } from './look'

const SQLCode = lazy(() => import('@/ui/sql-code'))
const route = getRouteApi('/inside/projects/$project/branches/$branch/rescue')

/** What a repair does, by what became of the row. */
const repairs = { deleted: 'comes back', changed: 'is set back', added: 'is removed' }

/** Compares a table with how it was. The look at the moment is made once for all tables and kept while the page is open. */
function useComparison() {
  const branch = useBranch()
  const [look, setLook] = useState<{ moment: string; name: string } | null>(null)
  const stop = useRef<AbortController | null>(null)
  useKeptLook(branch.project, look?.name ?? null)
  useEffect(() => () => stop.current?.abort(), [])
  return useMutation({
    mutationFn: async (ask: { at: string; table: string; where: string }) => {
      stop.current?.abort()
      stop.current = new AbortController()
      const { signal } = stop.current
      const prepare = async () => {
        const name = await lookAt({ project: branch.project, branch: branch.name }, ask.at, signal)
        setLook({ moment: ask.at, name })
        return name
      }
      const compare = async (name: string) => {
        const rescue: Rescue = { look: name, table: ask.table, where: ask.where || undefined }
        return { rescue, comparison: await rescues.compare(branch, rescue, signal) }
      }
      if (look?.moment !== ask.at) return compare(await prepare())
      try {
        return await compare(look.name)
      } catch (thrown) {
        // A look that could not be kept is gone; the moment is not.
        if (asProblem(thrown).code !== 'not_found') throw thrown
        return compare(await prepare())
      }
    },
  })
}

/** Brings single rows of a table back as they were at a moment, and leaves everything else as it is. */
export function BranchRescue() {
  const branch = useBranch()
  const may = mayChange(useRights(branch.project), branch)
  const { data: tables, error: unknown } = useTables(branch)
  const [at, setAt] = useState(route.useSearch().at ?? '')
  const [chosen, setChosen] = useState<string | null>(null)
  const [where, setWhere] = useState('')
  const [asking, setAsking] = useState(false)
  const [job, setJob] = useState<string | null>(null)
  const compare = useComparison()
  const fit = tables?.filter((t) => t.key.length > 0) ?? []
  const table = fit.find((t) => nameOf(t) === chosen) ?? fit[0]
  if (unknown) return <ErrorNotice error={unknown} />
  if (!tables) return <Skeleton className="h-60" />
  if (!table)
    return (
      <Panel>
        <Empty icon={LifeBuoy} title="No table has a primary key">
          Rows are told apart by their primary key. Look at the moment instead and copy what is needed.
        </Empty>
      </Panel>
    )
  const begin = () => compare.mutate({ at: at.trim(), table: `${table.schema}.${table.name}`, where: where.trim() })
  const found = compare.data
  return (
    <div className="flex flex-col gap-5">
      <Panel>
        <PanelHead
          title="Bring single rows back"
          about="One table is compared with how it was, row by row. Nothing changes before you have seen what would."
        />
        <form
          className="flex flex-col gap-4 p-4"
          onSubmit={(e) => {
            e.preventDefault()
            begin()
          }}
        >
          <MomentFields at={at} onAt={setAt} />
          <div className="grid gap-4 sm:grid-cols-2">
            <Field label="Table" hint="Those with a primary key.">
              {(ids) => (
                <Select
                  id={ids.id}
                  value={nameOf(table)}
                  onValueChange={setChosen}
                  options={fit.map((t) => ({ value: nameOf(t), label: nameOf(t) }))}
                />
              )}
            </Field>
            <Field
              label="Which rows"
              hint="An SQL condition; all rows when empty. A row counts when it holds then or now."
            >
              {(ids) => (
                <Input
                  {...ids}
                  value={where}
                  placeholder="owner_id = 7"
                  onChange={(e) => setWhere(e.target.value)}
                  className="font-mono text-xs"
                />
              )}
            </Field>
          </div>
          {compare.error && <ErrorNotice error={compare.error} />}
          <Button
            type="submit"
            variant="primary"
            className="self-start"
            disabled={at.trim() === ''}
            busy={compare.isPending}
          >
            <Search /> {compare.isPending ? 'Preparing the moment and comparing…' : 'Compare'}
          </Button>
        </form>
      </Panel>
      {found && <Differences found={found.comparison} may={may} onApply={() => setAsking(true)} />}
      {found && (
        <Confirm
          open={asking}
          onOpenChange={setAsking}
          title={`Bring rows of ${found.rescue.table} back?`}
          action="Bring them back"
          danger
          production={branch.environment === 'production'}
          typed={branch.environment === 'production' ? branch.name : undefined}
          onConfirm={async () => setJob((await rescues.apply(branch, found.rescue)).id)}
        >
          {summary(found.comparison)} In one transaction, after a checkpoint. If somebody changes one of these rows
          meanwhile, nothing is changed.
        </Confirm>
      )}
      <JobDialog id={job} title="Bringing rows back" onClose={() => setJob(null)} onEnd={begin} />
    </div>
  )
}

/** In words what bringing the rows back does. */
function summary({ end }: Comparison): string {
  const parts = (['deleted', 'changed', 'added'] as const)
    .filter((kind) => end[kind] > 0)
    .map((kind) => {
      const rows = end[kind] === 1 ? 'One row that was' : `${count(end[kind])} rows that were`
      return `${rows} ${kind} ${end[kind] === 1 ? repairs[kind] : repairs[kind].replace(/^comes/, 'come').replace(/^is/, 'are')}.`
    })
  return parts.join(' ')
}

function Differences({ found, may, onApply }: { found: Comparison; may: boolean; onApply: () => void }) {
  const [script, setScript] = useState(false)
  const { table, changes, end } = found
  const total = end.deleted + end.changed + end.added
  if (total === 0)
    return (
      <Panel>
        <Empty icon={LifeBuoy} title="No row differs">
          {table.name} has the same rows as at that moment, as far as the condition reaches.
        </Empty>
      </Panel>
    )
  return (
    <Panel data-testid="differences">
      <PanelHead title={`${count(total)} ${total === 1 ? 'row differs' : 'rows differ'}`} about={summary(found)}>
        <Button aria-pressed={script} onClick={() => setScript(!script)}>
          Show the SQL
        </Button>
        {may && (
          <Button variant="danger" onClick={onApply}>
            <LifeBuoy /> Bring {total === 1 ? 'it' : 'them'} back…
          </Button>
        )}
      </PanelHead>
      {script && (
        <div className="border-line border-b bg-sunken/60 p-3">
          <div className="mb-2 flex items-center justify-between gap-2 text-muted text-xs">
            <span>Of the rows below. Each statement touches its row only as it was compared.</span>
            <CopyButton text={scriptOf(found)} size="sm" label="Copy the SQL" />
          </div>
          <Suspense fallback={<Skeleton className="h-24" />}>
            <SQLCode sql={scriptOf(found)} className="max-h-72 overflow-y-auto" />
          </Suspense>
        </div>
      )}
      <Table aria-label="Rows that differ">
        <thead>
          <tr>
            <Th>Since then</Th>
            <Th>{table.key.join(', ')}</Th>
            <Th>Bringing it back</Th>
          </tr>
        </thead>
        <tbody>
          {changes.map((c) => (
            <Tr key={`${c.kind} ${JSON.stringify(c.key)}`}>
              <Td>
                <Badge tone={c.kind === 'added' ? 'warn' : 'accent'}>{words(c.kind)}</Badge>
              </Td>
              <Td className="font-mono text-xs">{c.key.join(', ')}</Td>
              <Td className="text-xs">
                <span className="text-muted">It {repairs[c.kind]}: </span>
                {differences(table.columns, c)
                  .slice(0, 12)
                  .map((d) => (
                    <span key={d.column} className="mr-3 inline-block max-w-96 truncate align-bottom">
                      <span className="text-faint">{d.column}</span> <span className="font-mono">{d.text}</span>
                    </span>
                  ))}
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
      {total > shownChanges && (
        <p className="p-3 text-muted text-sm">
          The first {count(shownChanges)} are shown; bringing back concerns all {count(total)}.
        </p>
      )}
    </Panel>
  )
}
