import { useQuery } from '@tanstack/react-query'
import { Link, type LinkProps, Outlet, useLocation, useParams } from '@tanstack/react-router'
import { Plug } from 'lucide-react'
import { queries } from '@/api/queries'
import type { Branch } from '@/api/types'
import { useConnect } from '@/app/connect-context'
import { lookOf } from '@/lib/moments'
import { Button } from '@/ui/button'
import { cn } from '@/ui/cn'
import { ActivityMark, EnvironmentBadge } from '@/ui/environment'
import { ErrorNotice, Skeleton } from '@/ui/pieces'
import { tabStyle } from '@/ui/tabs'
import { BranchActions } from './branch-actions'
import { BranchNotices } from './branch-card'
import { LookBar, LookIsOver } from './look'
import { PageHead } from './page'

/** The parts of a branch that have an address below its own, as their tabs and the browser's call them. */
const parts = {
  data: 'My data',
  structure: 'Structure',
  sql: 'SQL',
  history: 'History',
  monitoring: 'Monitoring',
  settings: 'Settings',
  extensions: 'Extensions',
  rescue: 'Rescue',
}

/** The branch of the address, once it is known. Screens below the branch's head are shown only then. */
export function useBranch(): Branch {
  const { project, branch } = useParams({ from: '/inside/projects/$project/branches/$branch' })
  const found = useQuery(queries.project(project)).data?.branches.find((b) => b.name === branch)
  if (!found) throw new Error('the branch is gone')
  return found
}

/** The head of everything that concerns one branch. */
export function BranchScreen() {
  const { project, branch: name } = useParams({ from: '/inside/projects/$project/branches/$branch' })
  const { data, error, isPending } = useQuery(queries.project(project))
  const branch = data?.branches.find((b) => b.name === name)
  const connect = useConnect()
  const part = parts[useLocation().pathname.split('/').at(5) as keyof typeof parts]
  if (!branch) {
    if (error) return <ErrorNotice error={error} />
    if (isPending) return <Skeleton className="h-40" />
    if (lookOf(name)) return <LookIsOver project={project} name={name} />
    return <ErrorNotice error={`${project} has no branch ${name}`} />
  }
  return (
    <>
      <PageHead
        name={`${part ? `${part} · ` : ''}${name} · ${project}`}
        title={
          <span className="flex flex-wrap items-center gap-x-2.5 gap-y-1">
            <span
              className={cn(
                branch.environment !== 'preview' && 'capitalize',
                branch.environment === 'production' && 'text-production',
              )}
            >
              {name}
            </span>
            {name !== branch.environment && <EnvironmentBadge environment={branch.environment} />}
            <ActivityMark activity={branch.activity} className="font-normal text-muted text-sm" />
          </span>
        }
        about={<code className="text-xs">{branch.database}</code>}
      >
        <Button variant="primary" onClick={() => connect(branch)}>
          <Plug /> Connect
        </Button>
        <BranchActions branch={branch} withLinks={false} />
      </PageHead>
      <BranchNotices branch={branch} className="mb-4" />
      {branch.look && <LookBar branch={branch} />}
      <nav
        aria-label="Parts of the branch"
        className="mb-5 flex gap-1 overflow-x-auto border-line border-b [scrollbar-width:none]"
      >
        <PartLink branch={branch} to="/projects/$project/branches/$branch" exact>
          Overview
        </PartLink>
        <PartLink branch={branch} to="/projects/$project/branches/$branch/data">
          {parts.data}
        </PartLink>
        <PartLink branch={branch} to="/projects/$project/branches/$branch/structure">
          {parts.structure}
        </PartLink>
        <PartLink branch={branch} to="/projects/$project/branches/$branch/sql">
          {parts.sql}
        </PartLink>
        <PartLink branch={branch} to="/projects/$project/branches/$branch/history">
          {parts.history}
        </PartLink>
        <PartLink branch={branch} to="/projects/$project/branches/$branch/monitoring">
          {parts.monitoring}
        </PartLink>
        <PartLink branch={branch} to="/projects/$project/branches/$branch/settings">
          {parts.settings}
        </PartLink>
        <PartLink branch={branch} to="/projects/$project/branches/$branch/extensions">
          {parts.extensions}
        </PartLink>
      </nav>
      {/* Another branch is another screen: nothing that was typed for one may be saved into the other. */}
      <Outlet key={branch.id} />
    </>
  )
}

function PartLink({
  branch,
  to,
  exact,
  children,
}: {
  branch: Branch
  to: LinkProps['to']
  exact?: boolean
  children: string
}) {
  return (
    <Link
      to={to as '/projects/$project/branches/$branch'}
      params={{ project: branch.project, branch: branch.name }}
      className={tabStyle}
      activeOptions={{ exact: exact ?? false }}
      activeProps={{ 'data-state': 'active', 'aria-current': 'page' }}
    >
      {children}
    </Link>
  )
}
