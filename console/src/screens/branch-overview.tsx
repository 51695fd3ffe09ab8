import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { duration, size } from '@/lib/format'
import { CopyButton } from '@/ui/copy'
import { ActivityMark } from '@/ui/environment'
import { Ago, Panel, PanelHead } from '@/ui/pieces'
import { useBranch } from './branch'

export function BranchOverview() {
  const b = useBranch()
  return (
    <div className="grid items-start gap-4 lg:grid-cols-2">
      <Panel>
        <PanelHead title="Now" />
        <dl className="divide-y divide-line px-4">
          <Row name="Server">
            <ActivityMark activity={b.activity} />
          </Row>
          <Row name="Sessions">
            {b.sessions} <span className="text-faint">of {b.connection_limit}</span>
          </Row>
          <Row name="Size">{size(b.size_bytes)}</Row>
          <Row name="PostgreSQL">{b.postgres_version || b.postgres_major}</Row>
          <Row name="Falls asleep">
            {b.idle_timeout_seconds < 0 ? 'never' : `after ${duration(b.idle_timeout_seconds)} without work`}
          </Row>
        </dl>
      </Panel>
      <Panel>
        <PanelHead title="Identity" />
        <dl className="divide-y divide-line px-4">
          <Row name="Database">
            <Copyable text={b.database} label="Copy the name of the database" />
          </Row>
          <Row name="Identifier">
            <Copyable text={b.id} label="Copy the identifier" />
          </Row>
          <Row name="Created">
            <Ago at={b.created_at} />
          </Row>
          {b.expires_at && (
            <Row name="Expires">
              <Ago at={b.expires_at} />
            </Row>
          )}
          <Row name="Other databases">
            <span className="text-muted">
              reached as <code className="text-xs">other@{b.database}</code>
            </span>
          </Row>
        </dl>
      </Panel>
      <p className="text-muted text-sm lg:col-span-2">
        Idle time, connection limit and PostgreSQL’s parameters are in the{' '}
        <Link
          to="/projects/$project/branches/$branch/settings"
          params={{ project: b.project, branch: b.name }}
          className="text-accent hover:underline"
        >
          settings
        </Link>
        .
      </p>
    </div>
  )
}

function Row({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="flex min-h-10 items-center justify-between gap-4 py-1.5">
      <dt className="shrink-0 text-muted">{name}</dt>
      <dd className="min-w-0 text-right font-medium">{children}</dd>
    </div>
  )
}

function Copyable({ text, label }: { text: string; label: string }) {
  return (
    <span className="inline-flex max-w-full items-center gap-1">
      <code className="truncate text-xs">{text}</code>
      <CopyButton text={text} label={label} variant="ghost" size="icon-sm" />
    </span>
  )
}
