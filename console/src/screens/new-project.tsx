import { useMutation, useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { ArrowRight, PartyPopper } from 'lucide-react'
import { useState } from 'react'
import { api } from '@/api/client'
import { queries } from '@/api/queries'
import { useConnect } from '@/app/connect-context'
import { masked } from '@/lib/connect'
import { nameProblem } from '@/lib/names'
import { Button } from '@/ui/button'
import { CopyButton } from '@/ui/copy'
import { EnvironmentBadge } from '@/ui/environment'
import { Checkbox, Field, Input, Select } from '@/ui/field'
import { ErrorNotice, Panel, Skeleton } from '@/ui/pieces'
import { JobProgress } from './job-progress'
import { PageHead } from './page'

export function NewProjectScreen() {
  return (
    <>
      <PageHead
        name="New project"
        title="New project"
        about="A development and a production database that belong together."
      />
      <NewProject />
    </>
  )
}

/**
 * From a name to a connection string. The job that does it stands in the address, so that a reload in the middle finds it
 * again.
 */
export function NewProject() {
  const { job: id } = useSearch({ strict: false })
  const job = useQuery({ ...queries.job(id ?? ''), enabled: id !== undefined }).data
  if (id === undefined) return <Form />
  if (job?.state === 'succeeded') return <Ready project={job.subject} />
  return (
    <Panel className="max-w-xl p-5">
      <h2 className="mb-3 font-semibold text-base">{job ? `Creating ${job.subject}` : 'Creating the project'}</h2>
      <JobProgress id={id} />
      {(job?.state === 'failed' || job?.state === 'canceled') && (
        <Button asChild className="mt-4">
          <Link to="/new-project" search={{}}>
            Try again
          </Link>
        </Button>
      )}
    </Panel>
  )
}

const sizes = [
  { value: '5000', label: 'about 5 000 rows' },
  { value: '100000', label: 'about 100 000 rows' },
  { value: '1000000', label: 'about 1 000 000 rows' },
]

const majors = [
  { value: '0', label: 'The server’s default' },
  ...[18, 17, 16, 15].map((n) => ({ value: String(n), label: `PostgreSQL ${n}` })),
]

function Form() {
  const navigate = useNavigate()
  const [name, setName] = useState('')
  const [sample, setSample] = useState(true)
  const [rows, setRows] = useState('5000')
  const [major, setMajor] = useState('0')
  const wrong = name === '' ? null : nameProblem(name)
  const create = useMutation({
    mutationFn: () =>
      api.createProject({
        name,
        ...(sample ? { sample_rows: Number(rows) } : {}),
        ...(major === '0' ? {} : { postgres_major: Number(major) }),
      }),
    onSuccess: (job) => navigate({ to: '/new-project', search: { job: job.id } }),
  })
  return (
    <Panel className="max-w-xl">
      <form
        className="flex flex-col gap-5 p-5"
        onSubmit={(event) => {
          event.preventDefault()
          if (name !== '' && wrong === null) create.mutate()
        }}
      >
        <Field
          label="Name"
          error={wrong}
          hint={
            name === '' ? (
              'Part of every address: shop becomes shop_development and shop_production.'
            ) : (
              <>
                Its databases are <code>{name}_development</code> and <code>{name}_production</code>.
              </>
            )
          }
        >
          {(ids) => (
            <Input
              {...ids}
              autoFocus
              required
              value={name}
              placeholder="shop"
              onChange={(e) => setName(e.target.value.toLowerCase().replaceAll(' ', '-'))}
              className="h-10 text-base"
            />
          )}
        </Field>
        <div className="grid gap-4 sm:grid-cols-2">
          <Field label="PostgreSQL">
            {(ids) => <Select {...ids} value={major} onValueChange={setMajor} options={majors} />}
          </Field>
          {sample && (
            <Field label="Size of the sample">
              {(ids) => <Select {...ids} value={rows} onValueChange={setRows} options={sizes} />}
            </Field>
          )}
        </div>
        <Checkbox
          checked={sample}
          onCheckedChange={setSample}
          label="Begin with sample data"
          hint="A small CRM of investors, startups and deals in both databases, to look around in."
        />
        {create.error && <ErrorNotice error={create.error} />}
        <div>
          <Button
            type="submit"
            variant="primary"
            size="lg"
            busy={create.isPending}
            disabled={name === '' || wrong !== null}
          >
            Create project <ArrowRight />
          </Button>
        </div>
      </form>
    </Panel>
  )
}

/** What the first minute leads to: a connection string to copy. */
function Ready({ project }: { project: string }) {
  const connection = useQuery(queries.connection(project, 'development'))
  const connect = useConnect()
  return (
    <Panel className="max-w-xl p-5">
      <div className="flex items-center gap-3">
        <span className="grid size-9 place-items-center rounded-lg bg-development-soft text-ok">
          <PartyPopper className="size-5" aria-hidden />
        </span>
        <div>
          <h2 className="font-semibold text-base">{project} is ready</h2>
          <p className="text-muted text-sm">Both databases sleep until somebody connects, and wake in a blink.</p>
        </div>
      </div>
      <div className="mt-5 flex items-center justify-between gap-2">
        <h3 className="flex items-center gap-2 font-medium text-sm">
          Connection string <EnvironmentBadge environment="development" />
        </h3>
      </div>
      {connection.error && <ErrorNotice error={connection.error} className="mt-2" />}
      {connection.isPending && !connection.error && <Skeleton className="mt-2 h-16" />}
      {connection.data && (
        <>
          <pre className="mt-2 whitespace-pre-wrap [overflow-wrap:anywhere] rounded-lg border border-line bg-sunken px-3 py-2.5 text-xs">
            {masked(connection.data).url}
          </pre>
          <div className="mt-3 flex flex-wrap gap-2">
            <CopyButton variant="primary" size="md" text={connection.data.url} label="Copy the connection string">
              Copy the connection string
            </CopyButton>
            <Button onClick={() => connect({ project, name: 'development', environment: 'development' })}>
              Other ways to connect
            </Button>
            <Button asChild variant="ghost">
              <Link to="/projects/$project" params={{ project }}>
                Open {project} <ArrowRight />
              </Link>
            </Button>
          </div>
        </>
      )}
    </Panel>
  )
}
