import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { Boxes, Plus } from 'lucide-react'
import { queries } from '@/api/queries'
import { type Branch, isFinal, type Job, type Project } from '@/api/types'
import { byImportance } from '@/lib/branches'
import { size } from '@/lib/format'
import { Button } from '@/ui/button'
import { ActivityMark, EnvironmentBadge } from '@/ui/environment'
import { Ago, Badge, Empty, ErrorNotice, Panel, Skeleton } from '@/ui/pieces'
import { JobProgress } from './job-progress'
import { NewProject } from './new-project'
import { PageHead } from './page'

export function ProjectsScreen() {
  const projects = useQuery(queries.projects())
  const jobs = useQuery(queries.jobs())
  const begun = (jobs.data ?? []).filter((job) => job.kind === 'create_project' && !isFinal(job))
  const first = projects.data?.length === 0 && begun.length === 0 && jobs.isSuccess
  if (first) {
    return (
      <>
        <PageHead
          name="Create your first project"
          title="Create your first project"
          about="A project is a development and a production database that belong together."
        />
        <NewProject />
      </>
    )
  }
  return (
    <>
      <PageHead name="Projects" title="Projects" about="Each with a development and a production database of its own.">
        <Button asChild variant="primary">
          <Link to="/new-project">
            <Plus /> New project
          </Link>
        </Button>
      </PageHead>
      {projects.error && <ErrorNotice error={projects.error} className="mb-4" />}
      {projects.isPending && !projects.error && (
        <div className="grid gap-4 lg:grid-cols-2">
          <Skeleton className="h-44" />
          <Skeleton className="h-44" />
        </div>
      )}
      <ul className="grid gap-4 lg:grid-cols-2">
        {begun.map((job) => (
          <li key={job.id}>
            <Creating job={job} />
          </li>
        ))}
        {projects.data?.map((project) => (
          <li key={project.id}>
            <ProjectCard project={project} />
          </li>
        ))}
      </ul>
      {projects.data?.length === 0 && begun.length === 0 && !jobs.isSuccess && (
        <Empty icon={Boxes} title="There is no project yet">
          Create one to get a development and a production database.
        </Empty>
      )}
    </>
  )
}

function Creating({ job }: { job: Job }) {
  return (
    <Panel className="p-4">
      <div className="mb-3 flex items-center justify-between gap-3">
        <h2 className="font-semibold text-base">{job.subject}</h2>
        <Link to="/jobs/$id" params={{ id: job.id }} className="text-accent text-xs hover:underline">
          Being created
        </Link>
      </div>
      <JobProgress id={job.id} />
    </Panel>
  )
}

function ProjectCard({ project }: { project: Project }) {
  const [development, production] = [find(project, 'development'), find(project, 'production')]
  const previews = project.branches.filter((b) => b.environment === 'preview').length
  return (
    <Panel className="group relative flex h-full flex-col transition-colors hover:border-line-strong">
      <div className="flex items-center gap-2 px-4 pt-3.5 pb-3">
        <h2 className="min-w-0 truncate font-semibold text-base">
          <Link
            to="/projects/$project"
            params={{ project: project.name }}
            className="after:absolute after:inset-0 after:rounded-xl"
          >
            {project.name}
          </Link>
        </h2>
        <Badge>PostgreSQL {project.postgres_major}</Badge>
        {previews > 0 && (
          <Badge tone="preview">
            {previews} {previews === 1 ? 'preview' : 'previews'}
          </Badge>
        )}
        <Ago at={project.created_at} className="relative ml-auto text-faint text-xs" />
      </div>
      <div className="mt-auto grid border-line border-t sm:grid-cols-2 sm:divide-x sm:divide-line">
        {byImportance([development, production].filter((b) => b !== undefined)).map((b) => (
          <div key={b.id} className="px-4 py-3 max-sm:not-first:border-line max-sm:not-first:border-t">
            <div className="flex items-center justify-between gap-2">
              <EnvironmentBadge environment={b.environment} />
              <ActivityMark activity={b.activity} className="text-muted text-xs" />
            </div>
            <p className="mt-2.5 text-muted text-xs">
              {size(b.size_bytes)} · {b.sessions} {b.sessions === 1 ? 'session' : 'sessions'}
            </p>
          </div>
        ))}
      </div>
    </Panel>
  )
}

function find(project: Project, environment: Branch['environment']): Branch | undefined {
  return project.branches.find((b) => b.environment === environment)
}
