import { Link } from '@tanstack/react-router'
import { Plug, RotateCw, TriangleAlert } from 'lucide-react'
import type { ReactNode } from 'react'
import type { BranchStatus } from '@/api/standing'
import type { Branch } from '@/api/types'
import { useConnect } from '@/app/connect-context'
import { duration, size } from '@/lib/format'
import { Button } from '@/ui/button'
import { cn } from '@/ui/cn'
import { CopyButton } from '@/ui/copy'
import { ActivityMark, EnvironmentBadge } from '@/ui/environment'
import { Ago, Notice, Panel } from '@/ui/pieces'
import { BranchActions, useBranchActions } from './branch-actions'

const edges: Record<Branch['environment'], string> = {
  development: 'border-t-development',
  production: 'border-t-production-solid',
  preview: 'border-t-preview',
}

/** One branch with its state and what can be done to it. Its upper edge has the colour of its environment. */
export function BranchCard({ branch, status }: { branch: Branch; status?: BranchStatus }) {
  const connect = useConnect()
  return (
    <Panel className={cn('border-t-3', edges[branch.environment])} aria-label={branch.name}>
      <div className="flex items-center gap-2 px-4 pt-3.5">
        <h2
          className={cn('font-semibold text-base capitalize', branch.environment === 'production' && 'text-production')}
        >
          <Link
            to="/projects/$project/branches/$branch"
            params={{ project: branch.project, branch: branch.name }}
            className="hover:underline"
          >
            {branch.name}
          </Link>
        </h2>
        <EnvironmentBadge environment={branch.environment} className="sr-only" />
        <ActivityMark activity={branch.activity} className="ml-auto text-muted text-sm" />
      </div>
      <dl className="mt-3 grid grid-cols-3 gap-x-3 gap-y-3 px-4 sm:grid-cols-4">
        <Fact name="Size">{size(branch.size_bytes)}</Fact>
        <Fact name="Sessions">
          {branch.sessions} <span className="text-faint">of {branch.connection_limit}</span>
        </Fact>
        <Fact name="Version">{branch.postgres_version || branch.postgres_major}</Fact>
        <Fact name="Sleeps after">
          {branch.idle_timeout_seconds < 0 ? 'never' : duration(branch.idle_timeout_seconds)}
        </Fact>
        {status && <Standing status={status} />}
      </dl>
      <div className="mt-3 flex items-center gap-1 px-4">
        <code className="min-w-0 truncate rounded-md bg-sunken px-2 py-1 text-xs">{branch.database}</code>
        <CopyButton text={branch.database} variant="ghost" size="icon-sm" label="Copy the name of the database" />
      </div>
      <BranchNotices branch={branch} className="mx-4 mt-3" />
      <div className="mt-4 flex flex-wrap items-center gap-2 border-line border-t px-4 py-3">
        <Button variant="primary" onClick={() => connect(branch)}>
          <Plug /> Connect
        </Button>
        <BranchActions branch={branch} />
      </div>
    </Panel>
  )
}

/** How the branch stands with its backups, its history and its alerts. */
function Standing({ status: s }: { status: BranchStatus }) {
  const production = s.environment === 'production'
  const none = <span className={production ? 'text-production' : 'text-muted'}>never</span>
  return (
    <>
      <Fact name="Last backup">{s.last_backup ? <Ago at={s.last_backup} /> : none}</Fact>
      <Fact name="Last verified">{s.last_verified ? <Ago at={s.last_verified} /> : none}</Fact>
      <Fact name="History behind">{s.has_history ? duration(s.wal_lag_seconds) : 'none'}</Fact>
      <Fact name="Alerts">{s.alerts > 0 ? <span className="text-production">{s.alerts}</span> : 'none'}</Fact>
    </>
  )
}

/** What a person should know about a branch before anything else: that it is broken, or waits for a restart. */
export function BranchNotices({ branch, className }: { branch: Branch; className?: string }) {
  const actions = useBranchActions(branch)
  if (!branch.reason && !branch.needs_restart) return null
  return (
    <div className={cn('flex flex-col gap-2', className)}>
      {branch.reason && (
        <Notice tone="warn" icon={TriangleAlert}>
          <span>{branch.reason}</span>
        </Notice>
      )}
      {branch.needs_restart && (
        <Notice tone="accent" icon={RotateCw}>
          <span>A change waits for the next start of its server.</span>
          <Button size="sm" onClick={() => actions.ask('restart')}>
            Restart…
          </Button>
        </Notice>
      )}
      {actions.dialogs}
    </div>
  )
}

export function Fact({ name, children }: { name: ReactNode; children: ReactNode }) {
  return (
    <div className="min-w-0">
      <dt className="text-faint text-xs">{name}</dt>
      <dd className="truncate font-medium text-sm">{children}</dd>
    </div>
  )
}
