import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useParams } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import { api } from '@/api/client'
import { queries, useJobLog } from '@/api/queries'
import { isFinal, type Job, type JobLine } from '@/api/types'
import { clock, moment, words } from '@/lib/format'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { CopyButton } from '@/ui/copy'
import { ErrorNotice, Panel, PanelHead, Skeleton, useNow } from '@/ui/pieces'
import { Fact } from './branch-card'
import { JobProgress } from './job-progress'
import { took } from './jobs'
import { PageHead } from './page'

/** One job, live: its state comes from the server's own stream, and a reload in the middle changes nothing. */
export function JobScreen() {
  const { id } = useParams({ from: '/inside/jobs/$id' })
  const { data: job, error } = useQuery(queries.job(id))
  const lines = useJobLog(job)
  if (error && !job) return <ErrorNotice error={error} />
  if (!job) return <Skeleton className="h-64" />
  return (
    <>
      <PageHead
        name={`${words(job.kind)} ${job.subject}`}
        title={`${words(job.kind)} · ${job.subject}`}
        about={<code className="text-xs">{job.id}</code>}
      >
        {job.kind === 'create_project' && job.state === 'succeeded' && (
          <Button asChild>
            <Link to="/projects/$project" params={{ project: job.subject }}>
              Open {job.subject}
            </Link>
          </Button>
        )}
        {!isFinal(job) && <Cancel job={job} />}
      </PageHead>
      <Panel className="p-4">
        <JobProgress id={id} />
        <Facts job={job} />
      </Panel>
      <Panel className="mt-5">
        <PanelHead title="Log">
          {lines.length > 0 && (
            <CopyButton text={lines.map((l) => `${l.at} ${l.text}`).join('\n')} label="Copy the log">
              Copy
            </CopyButton>
          )}
        </PanelHead>
        <Log lines={lines} ended={isFinal(job)} />
      </Panel>
    </>
  )
}

function Facts({ job }: { job: Job }) {
  const now = useNow(1)
  return (
    <dl className="mt-4 grid grid-cols-2 gap-4 border-line border-t pt-4 sm:grid-cols-4">
      <Fact name="By">{job.actor.replace(/^token /, '')}</Fact>
      <Fact name="Asked for">{moment(new Date(job.created_at))}</Fact>
      <Fact name="Took">{took(job, now)}</Fact>
      <Fact name="Ended">{job.ended_at ? moment(new Date(job.ended_at)) : '–'}</Fact>
    </dl>
  )
}

function Cancel({ job }: { job: Job }) {
  const [asking, setAsking] = useState(false)
  const client = useQueryClient()
  const cancel = useMutation({
    mutationFn: () => api.cancelJob(job.id),
    onSuccess: (after) => client.setQueryData(['job', job.id], (now?: Job) => (now && isFinal(now) ? now : after)),
  })
  return (
    <>
      <Button disabled={job.state === 'canceling'} onClick={() => setAsking(true)}>
        Cancel the job…
      </Button>
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        title="Cancel this job?"
        action="Cancel the job"
        danger
        onConfirm={() => cancel.mutateAsync()}
      >
        It stops where it is and takes back what it did to {job.subject}.
      </Confirm>
    </>
  )
}

/** The log follows its end, unless somebody has scrolled up to read. */
function Log({ lines, ended }: { lines: JobLine[]; ended: boolean }) {
  const box = useRef<HTMLDivElement>(null)
  const following = useRef(true)
  // biome-ignore lint/correctness/useExhaustiveDependencies: new lines are what moves the end
  useEffect(() => {
    if (box.current && following.current) box.current.scrollTop = box.current.scrollHeight
  }, [lines])
  return (
    <div
      ref={box}
      role="log"
      aria-label="Log of the job"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable with the keyboard
      tabIndex={0}
      onScroll={(e) => {
        const el = e.currentTarget
        following.current = el.scrollHeight - el.scrollTop - el.clientHeight < 24
      }}
      className="max-h-[50vh] min-h-24 overflow-auto bg-sunken px-4 py-3 font-mono text-xs leading-5 last:rounded-b-xl"
    >
      {lines.map((line) => (
        <div key={line.seq} className="flex gap-3 whitespace-pre-wrap">
          <time dateTime={line.at} className="shrink-0 select-none text-faint">
            {clock(new Date(line.at))}
          </time>
          <span className="min-w-0">{line.text}</span>
        </div>
      ))}
      {lines.length === 0 && <p className="text-faint">{ended ? 'It wrote no log.' : 'Nothing yet.'}</p>}
    </div>
  )
}
