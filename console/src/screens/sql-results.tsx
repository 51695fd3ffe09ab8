import { ArrowDownToLine, Table2 } from 'lucide-react'
import { useMemo, useState } from 'react'
import { rowsOf, type SQLMessage, type SQLResult } from '@/api/sql'
import { readPlan, stepsOf } from '@/lib/explain'
import { csvOf, jsonOf, save } from '@/lib/export'
import { count, duration } from '@/lib/format'
import { Button } from '@/ui/button'
import { CopyButton } from '@/ui/copy'
import { Grid } from '@/ui/grid'
import { Menu, MenuContent, MenuItem, MenuTrigger } from '@/ui/menu'
import { Badge, Empty } from '@/ui/pieces'
import { Tab, TabContent, TabList, Tabs } from '@/ui/tabs'
import { type Cell, CellSheet } from './cell-sheet'
import type { Outcome } from './sql-state'

/** What a script came to: a tab for each statement that succeeded, and one for the one that did not. */
export function Results({ outcome }: { outcome: Outcome }) {
  const { results, error, notices } = outcome.answer
  const [open, setOpen] = useState(error ? 'error' : String(results.length - 1))
  if (results.length === 0 && !error)
    return (
      <Empty icon={Table2} title="Nothing was run">
        There is no statement in what was chosen.
      </Empty>
    )
  return (
    <Tabs value={open} onValueChange={setOpen} className="flex min-h-0 flex-1 flex-col">
      <TabList aria-label="Results">
        {results.map((r, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: results have no other identity than their order
          <Tab key={i} value={String(i)}>
            {results.length > 1 && `${i + 1} · `}
            {r.tag}
          </Tab>
        ))}
        {error && <Tab value="error">Error</Tab>}
        {notices.length > 0 && <Tab value="notices">Notices ({notices.length})</Tab>}
      </TabList>
      {results.map((r, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: as above
        <TabContent key={i} value={String(i)} className="flex min-h-0 flex-1 flex-col">
          <Result result={r} />
        </TabContent>
      ))}
      {error && (
        <TabContent value="error" className="p-4">
          <Refused message={error} sql={outcome.wish.sql} />
        </TabContent>
      )}
      <TabContent value="notices" className="overflow-auto p-4">
        <ul className="flex flex-col gap-1 font-mono text-xs">
          {notices.map((n, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: as above
            <li key={i}>
              <span className="text-muted">{n.severity}</span> {n.message}
            </li>
          ))}
        </ul>
      </TabContent>
    </Tabs>
  )
}

function Result({ result }: { result: SQLResult }) {
  const [cell, setCell] = useState<Cell | null>(null)
  const rows = rowsOf(result)
  const columns = useMemo(
    () => (result.columns ?? []).map((c, i) => ({ key: String(i), name: c.name, about: c.type })),
    [result.columns],
  )
  const only = columns.length === 1 && /^json$|QUERY PLAN/.test(`${result.columns?.[0]?.name}`)
  const plan = only ? readPlan(rows.map((r) => r[0] ?? '').join('\n')) : null
  return (
    <>
      <div className="flex flex-wrap items-center gap-2 border-line border-b px-3 py-1.5 text-muted text-xs">
        <code className="min-w-0 flex-1 truncate" title={result.sql} data-testid="result-sql">
          {result.sql}
        </code>
        <span className="whitespace-nowrap">{duration(result.took_ms / 1000)}</span>
        {result.columns && <span className="whitespace-nowrap">{count(result.row_count)} rows</span>}
        {result.truncated && <Badge tone="warn">more rows exist</Badge>}
        <CopyButton text={result.sql} label="Copy this statement" variant="ghost" size="icon-sm" />
        {rows.length > 0 && !plan && <ExportMenu columns={columns.map((c) => c.name)} rows={rows} name="result" />}
      </div>
      {plan ? (
        <PlanTree plan={plan} />
      ) : result.columns ? (
        <Grid
          label="Result"
          className="min-h-0 flex-1"
          columns={columns}
          rows={rows.length}
          value={(r, c) => rows[r]?.[c]}
          onOpen={(r, c) => {
            const column = result.columns?.[c]
            if (column) setCell({ name: column.name, type: column.type, text: rows[r]?.[c] ?? null })
          }}
        />
      ) : (
        <p className="p-4 text-muted text-sm">
          Done: <code>{result.tag}</code>
        </p>
      )}
      <CellSheet cell={cell} onClose={() => setCell(null)} />
    </>
  )
}

export function ExportMenu({ columns, rows, name }: { columns: string[]; rows: (string | null)[][]; name: string }) {
  return (
    <Menu>
      <MenuTrigger asChild>
        <Button size="sm" variant="ghost">
          <ArrowDownToLine /> Export
        </Button>
      </MenuTrigger>
      <MenuContent align="end">
        <MenuItem onSelect={() => save(`${name}.csv`, 'text/csv', csvOf(columns, rows))}>CSV</MenuItem>
        <MenuItem onSelect={() => save(`${name}.json`, 'application/json', jsonOf(columns, rows))}>JSON</MenuItem>
      </MenuContent>
    </Menu>
  )
}

/** Where in a text a position of the server's is: positions count characters, not the units of JavaScript's strings. */
function placeOf(sql: string, position: number): { line: number; column: number; text: string } {
  const before = Array.from(sql)
    .slice(0, position - 1)
    .join('')
  const line = before.split('\n').length
  return { line, column: before.length - before.lastIndexOf('\n'), text: sql.split('\n')[line - 1] ?? '' }
}

function Refused({ message, sql }: { message: SQLMessage; sql: string }) {
  const place = message.position ? placeOf(sql, message.position) : null
  return (
    <div role="alert" className="rounded-lg border border-production/30 bg-production-soft p-3 text-sm">
      <p className="font-medium">
        {message.severity}: {message.message} <code className="text-muted text-xs">{message.code}</code>
      </p>
      {message.detail && <p className="mt-1 text-muted">{message.detail}</p>}
      {message.hint && <p className="mt-1 text-muted">Hint: {message.hint}</p>}
      {place && (
        <pre className="mt-2 overflow-x-auto rounded-md bg-panel p-2 text-xs">
          {`line ${place.line}: ${place.text}\n${' '.repeat(`line ${place.line}: `.length + place.column - 1)}^`}
        </pre>
      )}
      <p className="mt-2 text-muted text-xs">What follows this statement was not run.</p>
    </div>
  )
}

function PlanTree({ plan }: { plan: NonNullable<ReturnType<typeof readPlan>> }) {
  const steps = useMemo(() => stepsOf(plan), [plan])
  return (
    <div className="min-h-0 flex-1 overflow-auto p-3">
      <p className="mb-2 text-muted text-xs">
        {plan['Execution Time'] === undefined
          ? 'Estimated: nothing was run.'
          : `Ran in ${plan['Execution Time'].toFixed(1)} ms, planned in ${(plan['Planning Time'] ?? 0).toFixed(1)} ms.`}{' '}
        The bar is each step’s own share.
      </p>
      <ol aria-label="Plan" className="flex flex-col gap-1">
        {steps.map((s, i) => (
          <li
            // biome-ignore lint/suspicious/noArrayIndexKey: steps have no other identity than their place
            key={i}
            style={{ marginLeft: s.depth * 20 }}
            className="rounded-md border border-line bg-sunken/50 px-3 py-1.5"
          >
            <div className="flex flex-wrap items-baseline gap-x-3">
              <span className="font-medium">{s.title}</span>
              <span className="text-muted text-xs">{s.rows} rows</span>
              <span className="text-muted text-xs">
                {s.time === null ? `cost ${s.cost}` : `${s.time.toFixed(2)} ms`}
              </span>
            </div>
            {s.details.map((d) => (
              <p key={d} className="font-mono text-2xs text-faint">
                {d}
              </p>
            ))}
            <div className="mt-1 h-1 overflow-hidden rounded-full bg-hover" aria-hidden>
              <div
                className={s.share > 0.5 ? 'h-full bg-warn' : 'h-full bg-accent-solid'}
                style={{ width: `${Math.round(s.share * 100)}%` }}
              />
            </div>
          </li>
        ))}
      </ol>
    </div>
  )
}
