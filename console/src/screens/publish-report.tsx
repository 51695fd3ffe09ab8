import { CircleCheck, CircleX, TriangleAlert } from 'lucide-react'
import type { ReactNode } from 'react'
import type { PublishReport } from '@/api/publish'
import { bytes, count } from '@/lib/format'
import { milliseconds } from '@/lib/publish'
import { cn } from '@/ui/cn'
import { Badge, ErrorNotice, Panel, PanelHead, Prose } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { Fact } from './branch-card'
import { SQL } from './publish-pieces'

/** What the rehearsal found on a copy of production, what matters first. */
export function Report({ report: r }: { report: PublishReport }) {
  const took = new Date(r.finished_at).getTime() - new Date(r.started_at).getTime()
  const rows = r.tables.reduce((n, t) => n + t.rows_after, 0)
  return (
    <Panel data-testid="report">
      <PanelHead
        title="Rehearsal"
        about={`Ran on a copy of production in ${milliseconds(took)}; the times below are those of the copy.`}
      >
        <Badge tone={r.verdict === 'ready' ? 'ok' : r.verdict === 'blocked' ? 'production' : 'warn'}>{r.verdict}</Badge>
      </PanelHead>
      <div className="flex flex-col gap-5 p-4">
        {r.error && <ErrorNotice error={r.error} />}
        {r.reasons.length > 0 && (
          <Part title="What stands between this and production" bad>
            <ul className="flex flex-col gap-1">
              {r.reasons.map((reason) => (
                <li key={reason.code + reason.text} className="flex items-start gap-2">
                  <TriangleAlert
                    className={cn(
                      'mt-0.5 size-4 shrink-0',
                      reason.verdict === 'blocked' ? 'text-production' : 'text-warn',
                    )}
                    aria-hidden
                  />
                  <span>
                    <Prose>{reason.text}</Prose>{' '}
                    {reason.allow ? (
                      <Badge tone="warn">takes consent: {reason.allow}</Badge>
                    ) : (
                      reason.verdict === 'blocked' && <Badge tone="production">blocks</Badge>
                    )}
                  </span>
                </li>
              ))}
            </ul>
          </Part>
        )}
        <dl className="grid grid-cols-2 gap-4 sm:grid-cols-5">
          <Fact name="Tables compared">{count(r.tables.length)}</Fact>
          <Fact name="Rows compared">{count(rows)}</Fact>
          <Fact name="Running code tried">{count(r.queries)}</Fact>
          <Fact name="Disk meanwhile">{bytes(r.disk_bytes)}</Fact>
          <Fact name="WAL">{bytes(r.wal_bytes)}</Fact>
        </dl>
        <Waits report={r} />
        <Integrity report={r} />
        <Code report={r} />
        <Speed report={r} />
        <Result report={r} />
      </div>
    </Panel>
  )
}

function Part({ title, bad, children }: { title: string; bad?: boolean; children: ReactNode }) {
  const Icon = bad ? CircleX : CircleCheck
  return (
    <section>
      <h3 className="mb-1.5 flex items-center gap-1.5 font-semibold text-sm">
        <Icon className={cn('size-4', bad ? 'text-production' : 'text-ok')} aria-hidden />
        {title}
      </h3>
      <div className="pl-5.5 text-sm">{children}</div>
    </section>
  )
}

function Lines({ items }: { items: readonly string[] }) {
  return (
    <ul className="list-disc pl-4 marker:text-faint">
      {items.map((text) => (
        <li key={text}>
          <Prose>{text}</Prose>
        </li>
      ))}
    </ul>
  )
}

function Waits({ report: r }: { report: PublishReport }) {
  if (r.blocked.length === 0)
    return (
      <Part title="Nobody will have to wait">
        <p className="text-muted">
          No statement holds a lock that stops readers or writers for long enough to be felt.
        </p>
      </Part>
    )
  return (
    <Part title="What users of production will feel" bad={r.blocked.some((b) => b.class === 'window')}>
      <Table aria-label="Predicted waits">
        <thead>
          <tr>
            <Th>Table</Th>
            <Th className="text-right">Reads wait</Th>
            <Th className="text-right">Writes wait</Th>
            <Th>Class</Th>
          </tr>
        </thead>
        <tbody>
          {r.blocked.map((b) => (
            <Tr key={b.table}>
              <Td className="font-medium">{b.table}</Td>
              <Td className="text-right">{milliseconds(b.longest_reads)}</Td>
              <Td className="text-right">{milliseconds(b.longest_writes)}</Td>
              <Td>
                <Badge tone={b.class === 'online' ? 'ok' : b.class === 'brief' ? 'warn' : 'production'}>
                  {b.class}
                </Badge>
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Part>
  )
}

function Integrity({ report: r }: { report: PublishReport }) {
  const changed = r.tables.filter((t) => t.rows_before !== t.rows_after || (t.changed ?? []).length > 0)
  const found = r.findings.filter((f) => f.verdict !== 'clean')
  const sequences = r.sequences.map((s) => `${s.sequence} would give ${s.next} again; ${s.column} holds ${s.highest}`)
  const lines = [
    ...changed.map((t) =>
      t.rows_before !== t.rows_after
        ? `${t.table} has ${count(t.rows_before)} rows before and ${count(t.rows_after)} after`
        : `values of ${(t.changed ?? []).join(', ')} in ${t.table} are not what they were`,
    ),
    ...sequences,
    ...r.invalid_indexes.map((i) => `index ${i} is not valid`),
    ...r.unvalidated.map((c) => `constraint ${c} is not known to hold for every row`),
  ]
  const bad = lines.length > 0 || found.length > 0
  return (
    <Part title={bad ? 'Data' : 'Data is what it was'} bad={bad}>
      {!bad && (
        <p className="text-muted">
          Every table has its rows, and every value that the plan does not touch is the same.
        </p>
      )}
      <Lines items={lines} />
      {found.map((f) => (
        <div key={f.text} className="mt-1.5">
          <p>
            <Badge tone={f.verdict === 'blocks' ? 'production' : 'warn'}>{f.verdict}</Badge> <Prose>{f.text}</Prose>
          </p>
          {(f.rows ?? []).length > 0 && (
            <pre className="mt-1 max-h-40 overflow-auto rounded-md bg-sunken px-3 py-2 font-mono text-xs">
              {(f.rows ?? []).join('\n')}
            </pre>
          )}
        </div>
      ))}
      {r.new_columns.length > 0 && (
        <p className="mt-1.5 text-muted text-xs">
          {r.new_columns
            .map((c) => `${c.column}: ${count(c.rows - c.nulls)} of ${count(c.rows)} rows have a value`)
            .join(' · ')}
        </p>
      )}
    </Part>
  )
}

function Code({ report: r }: { report: PublishReport }) {
  if (r.queries === 0 && r.broken.length === 0)
    return (
      <Part title="No running code is known">
        <p className="text-muted">Production’s statistics name no statements, so none were tried.</p>
      </Part>
    )
  return (
    <Part title={r.broken.length > 0 ? 'Running code that would fail' : 'Running code works'} bad={r.broken.length > 0}>
      {r.broken.length === 0 && <p className="text-muted">{count(r.queries)} statements were tried and work.</p>}
      {r.broken.map((q) => (
        <div key={q.sql} className="mt-2 first:mt-0">
          <p>
            {count(q.calls_per_day)} calls a day: <span className="text-production">{q.error}</span>{' '}
            <code className="text-faint text-xs">{q.code}</code>
          </p>
          <SQL sql={q.sql} className="mt-1 rounded-md bg-sunken px-3 py-2" />
        </div>
      ))}
      {r.untried.length > 0 && (
        <p className="mt-1.5 text-muted text-xs">
          {count(r.untried.length)} could not be tried before the plan, either.
        </p>
      )}
    </Part>
  )
}

function Speed({ report: r }: { report: PublishReport }) {
  if (r.performance.length === 0 && r.unused_indexes.length === 0) return null
  const slower = r.performance.filter((s) => s.regressed)
  return (
    <Part title={slower.length > 0 ? 'Slower afterwards' : 'As fast as before'} bad={slower.length > 0}>
      {r.performance.length > 0 && (
        <Table aria-label="Running code before and after">
          <thead>
            <tr>
              <Th>Statement</Th>
              <Th className="text-right">Before</Th>
              <Th className="text-right">After</Th>
              <Th>Why</Th>
            </tr>
          </thead>
          <tbody>
            {[...slower, ...r.performance.filter((s) => !s.regressed)].slice(0, 10).map((s) => (
              <Tr key={s.sql}>
                <Td>
                  <code className="line-clamp-2 text-xs">{s.sql}</code>
                </Td>
                <Td className="whitespace-nowrap text-right">
                  {s.executed ? milliseconds(s.time_before) : `cost ${count(s.cost_before)}`}
                </Td>
                <Td className={cn('whitespace-nowrap text-right', s.regressed && 'font-medium text-production')}>
                  {s.executed ? milliseconds(s.time_after) : `cost ${count(s.cost_after)}`}
                </Td>
                <Td className="text-muted text-xs">{s.why ?? '–'}</Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
      {r.unused_indexes.length > 0 && (
        <p className="mt-1.5 text-muted text-xs">New indexes that none of these uses: {r.unused_indexes.join(', ')}</p>
      )}
    </Part>
  )
}

function Result({ report: r }: { report: PublishReport }) {
  const failed = r.hooks.filter((h) => !h.ok)
  return (
    <>
      <Part
        title={r.leftovers.length > 0 ? 'The result is not what it should be' : 'The result is what it should be'}
        bad={r.leftovers.length > 0}
      >
        {r.leftovers.length > 0 ? (
          <pre className="max-h-72 overflow-auto rounded-md bg-sunken px-3 py-2 font-mono text-xs">
            {r.leftovers.join('\n')}
          </pre>
        ) : (
          <p className="text-muted">
            pg_dump writes the same for the copy as for what was wanted
            {r.kept_drift.length > 0 && `, but for ${count(r.kept_drift.length)} differences that production keeps`}.
          </p>
        )}
      </Part>
      {r.hooks.length > 0 && (
        <Part title="The project’s own checks" bad={failed.length > 0}>
          {r.hooks.map((h) => (
            <div key={h.check} className="mt-1 first:mt-0">
              <p>
                {h.check}: {h.ok ? 'passed' : (h.error ?? `ended with ${h.status}`)} in {milliseconds(h.time)}
              </p>
              {h.output && (
                <pre className="mt-1 max-h-48 overflow-auto rounded-md bg-sunken px-3 py-2 font-mono text-xs">
                  {h.output}
                </pre>
              )}
            </div>
          ))}
        </Part>
      )}
    </>
  )
}
