import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { ListChecks } from 'lucide-react'
import { queries } from '@/api/queries'
import { isFinal, type Job } from '@/api/types'
import { duration, words } from '@/lib/format'
import { Ago, Empty, ErrorNotice, Panel, Progress, Skeleton, useNow } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { JobState } from './job-progress'
import { PageHead } from './page'

export function JobsScreen() {
  const { data, error } = useQuery(queries.jobs())
  return (
    <>
      <PageHead
        name="Jobs"
        title="Jobs"
        about="What takes time. A job outlives this page, and a crash of the server: it is resumed or taken back."
      />
      {error && <ErrorNotice error={error} className="mb-4" />}
      <Panel>
        {!data && !error && <Skeleton className="m-4 h-40" />}
        {data?.length === 0 && (
          <Empty icon={ListChecks} title="No jobs yet">
            Creating a project is the first.
          </Empty>
        )}
        {data && data.length > 0 && <JobTable jobs={data} />}
      </Panel>
    </>
  )
}

export function JobTable({ jobs }: { jobs: Job[] }) {
  const now = useNow(1)
  return (
    <Table>
      <thead>
        <tr>
          <Th>Job</Th>
          <Th>On</Th>
          <Th>State</Th>
          <Th>By</Th>
          <Th className="text-right">Took</Th>
          <Th>Begun</Th>
        </tr>
      </thead>
      <tbody>
        {jobs.map((job) => (
          <Tr key={job.id} className="relative">
            <Td>
              <Link
                to="/jobs/$id"
                params={{ id: job.id }}
                className="whitespace-nowrap font-medium after:absolute after:inset-0"
              >
                {words(job.kind)}
              </Link>
            </Td>
            <Td>{job.subject}</Td>
            <Td className="min-w-44">
              <JobState state={job.state} />
              {job.state === 'running' && (
                <div className="mt-1 w-36">
                  <Progress label={job.step ?? job.kind} done={job.done} total={job.total ?? 0} />
                </div>
              )}
            </Td>
            <Td className="text-muted">{job.actor.replace(/^token /, '')}</Td>
            <Td className="whitespace-nowrap text-right text-muted">{took(job, now)}</Td>
            <Td className="text-muted">
              <Ago at={job.created_at} />
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  )
}

/** How long a job took, or has taken until now. */
export function took(job: Job, now: Date): string {
  if (!job.started_at) return '–'
  const end = job.ended_at ? new Date(job.ended_at) : now
  if (isFinal(job) && !job.ended_at) return '–'
  return duration(Math.max(0, (end.getTime() - new Date(job.started_at).getTime()) / 1000))
}
