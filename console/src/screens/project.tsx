import { useQuery } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { ChevronRight, GitBranch, ListChecks } from 'lucide-react'
import { queries } from '@/api/queries'
import type { Branch } from '@/api/types'
import { byImportance } from '@/lib/branches'
import { size } from '@/lib/format'
import { Button } from '@/ui/button'
import { ActivityMark, EnvironmentBadge } from '@/ui/environment'
import { Ago, Badge, Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { BranchCard } from './branch-card'
import { JobTable } from './jobs'
import { PageHead } from './page'

/** A project: its development and production side by side, the branches made of them, and what was done lately. */
export function ProjectScreen() {
  const name = useParams({ from: '/inside/projects/$project' }).project
  const { data: project, error } = useQuery(queries.project(name))
  const jobs = useQuery(queries.jobs(name)).data
  const branches = byImportance(project?.branches ?? [])
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
      <div className="grid items-start gap-4 lg:grid-cols-2">
        {!project && !error && (
          <>
            <Skeleton className="h-64" />
            <Skeleton className="h-64" />
          </>
        )}
        {main.map((branch) => (
          <BranchCard key={branch.id} branch={branch} />
        ))}
      </div>
      {project && (
        <>
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
        {branches.map((b) => (
          <Tr key={b.id} className="relative">
            <Td>
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
