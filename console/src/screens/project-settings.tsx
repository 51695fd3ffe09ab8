import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { Trash2 } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { publishes as api, type PublishHooks } from '@/api/publish'
import { queries } from '@/api/queries'
import { byImportance } from '@/lib/branches'
import { useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { Checkbox, Field, Input } from '@/ui/field'
import { ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Channels } from './channels'
import { JobDialog } from './job-dialog'
import { PageHead } from './page'
import { RemovalDialog } from './removal-dialog'

/** What holds for a whole project, and the way to remove it. */
export function ProjectSettings() {
  const project = useParams({ from: '/inside/projects/$project/settings' }).project
  const { data, error } = useQuery(queries.project(project))
  const navigate = useNavigate()
  const client = useQueryClient()
  const rights = useRights(project)
  const [asking, setAsking] = useState(false)
  const [work, setWork] = useState<{ id: string; title: string } | null>(null)
  // While it is removed the project can no longer be asked for; that is no error then.
  if (error && !work) return <ErrorNotice error={error} />
  return (
    <>
      <PageHead name={`Settings · ${project}`} title="Settings" about={`What holds for ${project} as a whole.`} />
      <div className="flex flex-col gap-5">
        <Panel>
          <PanelHead title="Databases" about="Idle time, connections, history and PostgreSQL’s parameters of each." />
          <ul className="divide-y divide-line px-4">
            {byImportance(data?.branches ?? []).map((b) => (
              <li key={b.id} className="py-2.5">
                <Link
                  to="/projects/$project/branches/$branch/settings"
                  params={{ project, branch: b.name }}
                  className={`hover:underline ${b.environment === 'production' ? 'text-production' : 'text-accent'}`}
                >
                  Settings of {b.name}
                </Link>
              </li>
            ))}
          </ul>
        </Panel>
        <Panel>
          <PanelHead title="Elsewhere" />
          <ul className="flex flex-wrap gap-x-6 gap-y-2 p-4 text-accent">
            <li>
              <Link to="/projects/$project/masking" params={{ project }} className="hover:underline">
                Masking of personal data
              </Link>
            </li>
            <li>
              <Link to="/admin/backups/destinations" search={{ project }} className="hover:underline">
                Destinations of backups
              </Link>
            </li>
            <li>
              <Link
                to="/admin/backups/schedules"
                search={{ branch: `${project}/production` }}
                className="hover:underline"
              >
                Schedules of backups
              </Link>
            </li>
          </ul>
        </Panel>
        {rights.admin && <Channels project={project} />}
        <Hooks project={project} may={rights.admin} />
        {rights.admin && (
          <Panel>
            <PanelHead
              title="Remove database"
              about={`Development, production and every branch of ${project}. They can be brought back for seven days.`}
            >
              <Button variant="danger" onClick={() => setAsking(true)}>
                <Trash2 /> Remove database…
              </Button>
            </PanelHead>
          </Panel>
        )}
      </div>
      {asking && (
        <RemovalDialog
          project={project}
          onClose={() => setAsking(false)}
          onWork={(job, title) => setWork({ id: job.id, title })}
        />
      )}
      <JobDialog
        id={work?.id ?? null}
        title={work?.title ?? ''}
        onClose={() => setWork(null)}
        onEnd={() => {
          client.invalidateQueries({ queryKey: ['projects'] })
          client.invalidateQueries({ queryKey: ['removed'] })
          navigate({ to: '/removed' })
        }}
      />
    </>
  )
}

function Hooks({ project, may }: { project: string; may: boolean }) {
  const { data, error } = useQuery({
    queryKey: ['publish-hooks', project],
    queryFn: ({ signal }) => api.hooks(project, signal),
    enabled: may,
  })
  if (!may) return null
  return (
    <Panel>
      <PanelHead
        title="Hooks of publishes"
        about="Checks of your own, run on the copy on which a publish is rehearsed."
      />
      {error && <ErrorNotice error={error} className="m-3" />}
      {!data && !error && <Skeleton className="m-4 h-32" />}
      {data && <HookForm project={project} saved={data} />}
    </Panel>
  )
}

function HookForm({ project, saved }: { project: string; saved: PublishHooks }) {
  const client = useQueryClient()
  const [h, set] = useState(saved)
  const save = useMutation({
    mutationFn: () => api.setHooks(project, h),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ['publish-hooks', project] })
      toast.success('Hooks saved')
    },
  })
  const change = (c: Partial<PublishHooks>) => {
    save.reset()
    set({ ...h, ...c })
  }
  const seconds = (text: string) => Number(text.replace(/\D/g, ''))
  return (
    <form
      className="flex flex-col gap-4 p-4"
      onSubmit={(e) => {
        e.preventDefault()
        save.mutate()
      }}
    >
      <div className="grid gap-4 sm:grid-cols-[1fr_10rem]">
        <Field
          label="Command"
          hint="For a shell on the server, with DATABASE_URL in its environment. An exit status but 0 blocks the publish."
        >
          {(ids) => (
            <Input
              {...ids}
              value={h.command ?? ''}
              placeholder="cd /srv/shop && make smoke-test"
              onChange={(e) => change({ command: e.target.value })}
              className="font-mono text-xs"
            />
          )}
        </Field>
        <Field label="At most, in seconds" hint="Five minutes when empty.">
          {(ids) => (
            <Input
              {...ids}
              inputMode="numeric"
              value={h.command_timeout_seconds ? String(h.command_timeout_seconds) : ''}
              onChange={(e) => change({ command_timeout_seconds: seconds(e.target.value) })}
            />
          )}
        </Field>
        <Field label="Address" hint="It is sent a POST with the DATABASE_URL. Any answer but 2xx blocks the publish.">
          {(ids) => (
            <Input
              {...ids}
              type="url"
              value={h.url ?? ''}
              placeholder="https://ci.example.com/check"
              onChange={(e) => change({ url: e.target.value })}
            />
          )}
        </Field>
        <Field label="Answers within, in seconds" hint="Five minutes when empty.">
          {(ids) => (
            <Input
              {...ids}
              inputMode="numeric"
              value={h.url_timeout_seconds ? String(h.url_timeout_seconds) : ''}
              onChange={(e) => change({ url_timeout_seconds: seconds(e.target.value) })}
            />
          )}
        </Field>
      </div>
      <Checkbox
        checked={h.allow_private ?? false}
        onCheckedChange={(allow_private) => change({ allow_private })}
        label="The address may lie in a private network"
        hint="Needs an administrator of the installation."
      />
      {save.error && <ErrorNotice error={save.error} />}
      <Button type="submit" variant="primary" className="self-start" busy={save.isPending}>
        Save hooks
      </Button>
    </form>
  )
}
