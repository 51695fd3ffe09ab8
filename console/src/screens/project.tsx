import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { ChevronRight, CornerDownRight, GitBranch, ListChecks } from 'lucide-react'
import { publishQueries } from '@/api/publish'
import { queries } from '@/api/queries'
import { statusQuery } from '@/api/standing'
import type { Branch } from '@/api/types'
import { branchTree } from '@/lib/branch-tree'
import { byImportance } from '@/lib/branches'
import { size } from '@/lib/format'
import { useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { ActivityMark, EnvironmentBadge } from '@/ui/environment'
import { Ago, Badge, Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { AlertList } from './alert-list'
import { BranchCard } from './branch-card'
import { JobTable } from './jobs'
import { PageHead } from './page'

/** A project: its development and production side by side, the branches made of them, and what was done lately. */
export function ProjectScreen() {
  const name = useParams({ from: '/inside/projects/$project' }).project
  const { data: project, error } = useQuery(queries.project(name))
  const jobs = useQuery(queries.jobs(name)).data
  const branches = byImportance(project?.branches ?? [])
  const status = useQuery(statusQuery(name)).data
  const rights = useRights(name)
  const last = useQuery(publishQueries.list(name)).data?.find((p) => p.started_at && p.state !== 'failed')
  const statusOf = (b: Branch) => status?.branches.find((s) => s.branch === `${b.project}/${b.name}`)
  const main = branches.filter((b) => b.environment !== 'preview')
  return (
    <>
      <PageHead
        name={name}
        title={name}
        about={
          project && (
            <>
              PostgreSQL {project.postgres_major} · owner <code className="text-xs">{project.owner_role}</code> ·
              created <Ago at={project.created_at} />
            </>
          )
        }
      />
      {error && <ErrorNotice error={error} className="mb-4" />}
      {status && status.alerts.length > 0 && (
        <Panel className="mb-4 border-warn/40">
          <PanelHead title={status.alerts.length === 1 ? 'One alert' : `${status.alerts.length} alerts`} />
          <AlertList alerts={status.alerts} may={rights.admin && !rights.agent} />
        </Panel>
      )}
      <div className="grid items-start gap-4 lg:grid-cols-2">
        {!project && !error && (
          <>
            <Skeleton className="h-64" />
            <Skeleton className="h-64" />
          </>
        )}
        {main.map((branch) => (
          <BranchCard key={branch.id} branch={branch} status={statusOf(branch)} />
        ))}
      </div>
      {project && (
        <>
          <p className="mt-3 text-muted text-sm">
            {last ? (
              <>
                Last publish:{' '}
                <Link
                  to="/projects/$project/publish/$number"
                  params={{ project: name, number: String(last.number) }}
                  className="text-accent hover:underline"
                >
                  {last.number}
                </Link>
                , <Ago at={last.ended_at ?? last.started_at ?? last.created_at} />
              </>
            ) : (
              'Nothing was published yet.'
            )}
          </p>
          <Panel className="mt-5">
            <PanelHead title="Branches" about="Each is a PostgreSQL server of its own with its own data." />
            {branches.length === 0 ? (
              <Empty icon={GitBranch} title="No branches" />
            ) : (
              <BranchTable branches={branches} />
            )}
          </Panel>
          <Panel className="mt-5">
            <PanelHead title="Lately">
              <Button asChild variant="quiet" size="inline">
                <Link to="/jobs">All jobs</Link>
              </Button>
            </PanelHead>
            {jobs && jobs.length > 0 ? (
              <JobTable jobs={jobs.slice(0, 5)} />
            ) : (
              <Empty icon={ListChecks} title="Nothing was done lately">
                What takes time, such as a restore or a publish, shows here while it runs and afterwards.
              </Empty>
            )}
          </Panel>
        </>
      )}
    </>
  )
}

function BranchTable({ branches }: { branches: Branch[] }) {
  const names = new Map(branches.map((b) => [b.id, b.name]))
  const tree = branchTree(branches)
  return (
    <Table>
      <thead>
        <tr>
          <Th>Branch</Th>
          <Th>Environment</Th>
          <Th>State</Th>
          <Th className="text-right">Size</Th>
          <Th className="text-right">Sessions</Th>
          <Th>Copied from</Th>
          <Th>Created</Th>
          <Th>
            <span className="sr-only">Open</span>
          </Th>
        </tr>
      </thead>
      <tbody>
        {tree.map(({ branch: b, depth }) => (
          <Tr key={b.id} className="relative">
            <Td style={{ paddingLeft: 16 + depth * 20 }}>
              {depth > 0 && <CornerDownRight className="mr-1.5 inline size-3.5 text-faint" aria-hidden />}
              <Link
                to="/projects/$project/branches/$branch"
                params={{ project: b.project, branch: b.name }}
                className="font-medium after:absolute after:inset-0"
              >
                {b.name}
              </Link>
              {b.protected && <Badge className="ml-2">protected</Badge>}
            </Td>
            <Td>
              <EnvironmentBadge environment={b.environment} />
            </Td>
            <Td>
              <ActivityMark activity={b.activity} className="text-muted" />
            </Td>
            <Td className="text-right">{size(b.size_bytes)}</Td>
            <Td className="text-right">{b.sessions}</Td>
            <Td className="text-muted">{b.parent_id ? (names.get(b.parent_id) ?? 'a branch that is gone') : '–'}</Td>
            <Td className="text-muted">
              <Ago at={b.created_at} />
            </Td>
            <Td className="text-right">
              <ChevronRight className="ml-auto size-4 text-faint" aria-hidden />
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  )
}
