import { useMutation, useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { Eye, GitBranch, LifeBuoy, RotateCcw, Undo2 } from 'lucide-react'
import { useEffect, useState } from 'react'
import { branches as api } from '@/api/branches'
import { asProblem } from '@/api/problem'
import { queries } from '@/api/queries'
import { branchOf } from '@/api/sql'
import type { Branch, Job } from '@/api/types'
import { bytes, duration, moment } from '@/lib/format'
import { useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { Ago, ErrorNotice, Panel, PanelHead } from '@/ui/pieces'
import { useBranch } from './branch'
import { NewBranchDialog } from './branch-dialogs'
import { MomentFields } from './history-moment'
import { JobDialog } from './job-dialog'

/** A moment and what can be done with it. */
export function Way({
  at,
  onAt,
  again,
  may,
}: {
  at: string
  onAt: (at: string) => void
  again: () => void
  may: boolean
}) {
  const branch = useBranch()
  const navigate = useNavigate()
  const all = useQuery(queries.project(branch.project)).data?.branches ?? []
  const rights = useRights(branch.project)
  const [asking, setAsking] = useState<'restore' | 'branch' | 'undo' | null>(null)
  const [work, setWork] = useState<{ id: string; title: string; look?: boolean } | null>(null)
  const plan = useMutation({
    mutationFn: () => api.planRestore(branch, at.trim()),
    // The address keeps the moment, so that it is still there for who comes back from looking at it.
    onSuccess: () => navigate({ to: '.', search: { at: at.trim() }, replace: true }),
  })
  const { mutate: show, reset } = plan
  // What was planned for one moment is not the plan of another.
  // biome-ignore lint/correctness/useExhaustiveDependencies: whenever the moment changes
  useEffect(() => reset(), [at])
  // biome-ignore lint/correctness/useExhaustiveDependencies: only when the page is opened with a moment
  useEffect(() => {
    if (at !== '') show()
  }, [])
  const look = useMutation({
    mutationFn: () => api.look(branch, at.trim()),
    onSuccess: (job) => setWork({ id: job.id, title: 'Preparing the moment', look: true }),
  })
  const production = branch.environment === 'production'
  const known = plan.data
  // A time that was said as "ago" must not move between the plan and what is done.
  const exact = known && /^\d{4}-/.test(known.moment) ? known.moment : at.trim()
  const ended = (job: Job) => {
    again()
    if (!work?.look) return
    navigate({
      to: '/projects/$project/branches/$branch/data',
      params: { project: branch.project, branch: branchOf(job) },
    })
  }
  const error = plan.error ?? look.error
  return (
    <Panel>
      <PanelHead title="Go back" about="Choose a moment; nothing is done before you have seen what it takes.">
        {may && (
          <Button onClick={() => setAsking('undo')}>
            <Undo2 /> Undo the newest restore…
          </Button>
        )}
      </PanelHead>
      <div className="flex flex-col gap-4 p-4">
        <form
          className="flex flex-col gap-4"
          onSubmit={(e) => {
            e.preventDefault()
            plan.mutate()
          }}
        >
          <MomentFields at={at} onAt={onAt} />
          <Button
            type="submit"
            variant="primary"
            disabled={at.trim() === ''}
            busy={plan.isPending}
            className="self-start"
          >
            Show the plan
          </Button>
        </form>
        {error && <ErrorNotice error={asProblem(error)} />}
        {known && (
          <div data-testid="restore-plan" className="rounded-lg border border-line bg-sunken/60 p-3 text-sm">
            <p className="font-medium">{known.moment}</p>
            <p className="text-muted">
              Begins with {known.snapshot ? 'a local snapshot' : 'the base backup'} of {moment(new Date(known.base_at))}
              , replays {bytes(known.wal_bytes)} of WAL up to {known.lsn}; {bytes(known.size_bytes)} of data, about{' '}
              {duration(known.estimate_seconds)}.
            </p>
            <div className="mt-3 flex flex-wrap gap-2">
              <Button onClick={() => look.mutate()} busy={look.isPending}>
                <Eye /> Look at it
              </Button>
              {may && (
                <Button asChild>
                  <Link
                    to="/projects/$project/branches/$branch/rescue"
                    params={{ project: branch.project, branch: branch.name }}
                    search={{ at: exact }}
                  >
                    <LifeBuoy /> Bring single rows back…
                  </Link>
                </Button>
              )}
              {rights.write && (
                <Button onClick={() => setAsking('branch')}>
                  <GitBranch /> As a new branch…
                </Button>
              )}
              {may && (
                <Button variant="danger" onClick={() => setAsking('restore')}>
                  <RotateCcw /> Restore {branch.name}…
                </Button>
              )}
            </div>
          </div>
        )}
      </div>
      <Kept all={all} />
      <Confirm
        open={asking === 'restore'}
        onOpenChange={(o) => setAsking(o ? 'restore' : null)}
        title={`Take ${branch.name} back?`}
        action="Restore"
        danger
        production={production}
        typed={branch.name}
        onConfirm={async () => {
          const job = await api.restore(branch, exact)
          setWork({ id: job.id, title: `Restoring ${branch.name}` })
        }}
      >
        To {known?.moment}. It is restored beside and verified first. What it has now is kept for seven days, so that
        this can be undone.
      </Confirm>
      <Confirm
        open={asking === 'undo'}
        onOpenChange={(o) => setAsking(o ? 'undo' : null)}
        title="Undo the newest restore?"
        action="Undo"
        danger
        production={production}
        onConfirm={async () => {
          const job = await api.undo(branch)
          setWork({ id: job.id, title: 'Undoing the restore' })
        }}
      >
        {branch.name} gets back what it had before its newest restore.
      </Confirm>
      {asking === 'branch' && (
        <NewBranchDialog
          project={branch.project}
          branches={all}
          from={branch.name}
          moment={exact}
          onClose={() => setAsking(null)}
          onCreated={(id, name) => {
            setAsking(null)
            setWork({ id, title: `Making ${name}` })
          }}
        />
      )}
      <JobDialog id={work?.id ?? null} title={work?.title ?? ''} onClose={() => setWork(null)} onEnd={ended} />
    </Panel>
  )
}

/** What was kept when the branch was restored, reset or a restore undone: undoing puts the newest of them back. */
function Kept({ all }: { all: Branch[] }) {
  const branch = useBranch()
  const kept = all
    .filter((b) => b.parent_id === branch.id && /_before_(restore|reset|undo)_\d{8}_\d{6}/.test(b.name))
    .sort((a, b) => b.created_at.localeCompare(a.created_at))
  if (kept.length === 0) return null
  return (
    <div className="border-line border-t px-4 py-3 text-sm">
      <p className="text-muted">Kept from before; the newest is what undoing puts back.</p>
      <ul className="mt-1">
        {kept.map((b) => (
          <li key={b.id} className="flex flex-wrap items-center gap-x-3 py-0.5">
            <Link
              to="/projects/$project/branches/$branch"
              params={{ project: b.project, branch: b.name }}
              className="min-w-0 break-all text-accent hover:underline"
            >
              {b.name}
            </Link>
            {b.expires_at && (
              <span className="text-faint text-xs">
                gone <Ago at={b.expires_at} />
              </span>
            )}
          </li>
        ))}
      </ul>
    </div>
  )
}
