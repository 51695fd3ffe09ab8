import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { Bookmark, Eye, GitBranch, History as Icon, Pin, RotateCcw, Trash2, Undo2 } from 'lucide-react'
import { useState } from 'react'
import { branches as api, type Checkpoint, type History } from '@/api/branches'
import { asProblem } from '@/api/problem'
import { queries } from '@/api/queries'
import { branchOf } from '@/api/sql'
import type { Job } from '@/api/types'
import { bytes, duration, moment, words } from '@/lib/format'
import { mayChange, useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { Checkbox, Field, Input } from '@/ui/field'
import { Ago, Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { useBranch } from './branch'
import { FormDialog, NewBranchDialog } from './branch-dialogs'
import { JobDialog } from './job-dialog'

/** Every moment of a branch: what can be had, what was marked, and the ways back. */
export function BranchHistory() {
  const branch = useBranch()
  const client = useQueryClient()
  const may = mayChange(useRights(branch.project), branch)
  const history = useQuery({
    queryKey: ['history', branch.id],
    queryFn: ({ signal }) => api.history(branch, signal),
    refetchInterval: 10_000,
  })
  const points = useQuery({
    queryKey: ['checkpoints', branch.id],
    queryFn: ({ signal }) => api.checkpoints(branch, signal),
  })
  const [at, setAt] = useState('')
  const [marking, setMarking] = useState(false)
  const again = () => {
    client.invalidateQueries({ queryKey: ['history', branch.id] })
    client.invalidateQueries({ queryKey: ['checkpoints', branch.id] })
    client.invalidateQueries({ queryKey: ['project', branch.project] })
  }
  return (
    <div className="flex flex-col gap-5">
      {history.error && <ErrorNotice error={history.error} />}
      {!history.data && !history.error && <Skeleton className="h-40" />}
      {history.data && <Timeline history={history.data} points={points.data ?? []} onChoose={setAt} />}
      <Way at={at} onAt={setAt} again={again} may={may} />
      <Panel>
        <PanelHead title="Checkpoints" about="Named moments. A pinned one is kept until it is unpinned.">
          {may && (
            <Button onClick={() => setMarking(true)}>
              <Bookmark /> Mark this moment
            </Button>
          )}
        </PanelHead>
        {points.error && <ErrorNotice error={points.error} className="m-3" />}
        {points.data?.length === 0 ? (
          <Empty icon={Bookmark} title="No checkpoints yet">
            Mark the present moment before something risky, to find it again by its name.
          </Empty>
        ) : (
          <Points points={points.data ?? []} may={may} onChoose={setAt} again={again} />
        )}
      </Panel>
      {marking && <MarkDialog onClose={() => setMarking(false)} again={again} />}
    </div>
  )
}

function MarkDialog({ onClose, again }: { onClose: () => void; again: () => void }) {
  const branch = useBranch()
  const [label, setLabel] = useState('')
  const [pinned, setPinned] = useState(false)
  return (
    <FormDialog
      title="Mark this moment"
      action="Mark"
      ready={label.trim() !== ''}
      onClose={onClose}
      onSubmit={async () => {
        await api.addCheckpoint(branch, label.trim(), pinned)
        again()
        onClose()
      }}
    >
      <Field label="Label">
        {(ids) => <Input {...ids} autoFocus value={label} onChange={(e) => setLabel(e.target.value)} />}
      </Field>
      <Checkbox checked={pinned} onCheckedChange={setPinned} label="Pin it" hint="It is kept until it is unpinned." />
    </FormDialog>
  )
}

/** The window as a bar: what can be restored, what cannot, and what was marked. A press chooses the moment. */
function Timeline({
  history: h,
  points,
  onChoose,
}: {
  history: History
  points: Checkpoint[]
  onChoose: (at: string) => void
}) {
  if (!h.earliest || !h.latest)
    return (
      <Panel>
        <Empty icon={Icon} title="No moment can be had yet">
          The history begins with the first base backup, which is made by itself soon after the branch is first used.
        </Empty>
      </Panel>
    )
  const from = new Date(h.earliest).getTime()
  const to = Math.max(new Date(h.latest).getTime(), from + 1000)
  const percent = (t: number) => `${Math.min(100, Math.max(0, (100 * (t - from)) / (to - from)))}%`
  return (
    <Panel>
      <PanelHead title="Timeline" about={`Every moment of the last ${duration(h.window_seconds)} is kept.`} />
      <div className="p-4">
        <button
          type="button"
          aria-label="Choose a moment on the timeline"
          className="relative block h-10 w-full overflow-hidden rounded-md bg-development-soft"
          onClick={(e) => {
            const box = e.currentTarget.getBoundingClientRect()
            onChoose(moment(new Date(from + ((to - from) * (e.clientX - box.left)) / box.width)))
          }}
        >
          {h.gaps.map((g) => (
            <span
              key={g.from}
              title={`Cannot be restored: ${g.reason}`}
              className="absolute inset-y-0 bg-production-solid/60"
              style={{
                left: percent(new Date(g.from).getTime()),
                right: `calc(100% - ${percent(new Date(g.to).getTime())})`,
              }}
            />
          ))}
          {h.bases.map((b) => (
            <span
              key={b.id}
              title={`Base backup, ${moment(new Date(b.at))}`}
              className="absolute bottom-0 h-3 w-0.5 bg-muted"
              style={{ left: percent(new Date(b.at).getTime()) }}
            />
          ))}
          {points.map((p) => (
            <span
              key={p.id}
              title={`${p.label || words(p.reason)}, ${moment(new Date(p.at))}`}
              className="absolute top-0 h-6 w-1 rounded bg-accent-solid"
              style={{ left: percent(new Date(p.at).getTime()) }}
            />
          ))}
        </button>
        <div className="mt-1 flex justify-between gap-3 text-faint text-xs">
          <span>{moment(new Date(from))}</span>
          <span>{moment(new Date(to))}</span>
        </div>
        {h.gaps.map((g) => (
          <p key={g.from} className="mt-1 text-production text-xs">
            {moment(new Date(g.from))} to {moment(new Date(g.to))} cannot be restored: {g.reason}
          </p>
        ))}
      </div>
    </Panel>
  )
}

/** A moment and what can be done with it. */
function Way({ at, onAt, again, may }: { at: string; onAt: (at: string) => void; again: () => void; may: boolean }) {
  const branch = useBranch()
  const navigate = useNavigate()
  const all = useQuery(queries.project(branch.project)).data?.branches ?? []
  const rights = useRights(branch.project)
  const [asking, setAsking] = useState<'restore' | 'branch' | 'undo' | null>(null)
  const [work, setWork] = useState<{ id: string; title: string; look?: boolean } | null>(null)
  const plan = useMutation({ mutationFn: () => api.planRestore(branch, at.trim()) })
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
      to: '/projects/$project/branches/$branch/sql',
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
          className="flex flex-wrap items-end gap-2"
          onSubmit={(e) => {
            e.preventDefault()
            plan.mutate()
          }}
        >
          <div className="min-w-72 flex-1">
            <Field label="The moment" hint="To the second, with its zone; or “10 minutes ago”, or checkpoint:ID.">
              {(ids) => (
                <Input
                  {...ids}
                  value={at}
                  placeholder={moment(new Date())}
                  onChange={(e) => {
                    onAt(e.target.value)
                    plan.reset()
                  }}
                />
              )}
            </Field>
          </div>
          <Button type="submit" variant="primary" disabled={at.trim() === ''} busy={plan.isPending} className="mb-6">
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

type PointsProps = { points: Checkpoint[]; may: boolean; onChoose: (at: string) => void; again: () => void }

function Points({ points, may, onChoose, again }: PointsProps) {
  const branch = useBranch()
  const [error, setError] = useState<unknown>(null)
  const act = (what: Promise<unknown>) => what.then(again, setError)
  return (
    <>
      {error !== null && <ErrorNotice error={error} className="m-3" />}
      <Table aria-label="Checkpoints">
        <thead>
          <tr>
            <Th>Label</Th>
            <Th>Why</Th>
            <Th>When</Th>
            <Th>
              <span className="sr-only">Actions</span>
            </Th>
          </tr>
        </thead>
        <tbody>
          {points.map((p) => (
            <Tr key={p.id}>
              <Td className="font-medium">{p.label || '–'}</Td>
              <Td className="text-muted">{words(p.reason)}</Td>
              <Td className="text-muted">
                <Ago at={p.at} />
              </Td>
              <Td>
                <div className="flex justify-end gap-1">
                  <Button size="sm" onClick={() => onChoose(`checkpoint:${p.id}`)}>
                    Choose
                  </Button>
                  {may && (
                    <>
                      <Button
                        size="icon-sm"
                        variant="ghost"
                        aria-pressed={p.pinned}
                        aria-label={`${p.pinned ? 'Unpin' : 'Pin'} ${p.label || p.id}`}
                        onClick={() => act(api.pin(branch, p.id, !p.pinned))}
                      >
                        <Pin className={p.pinned ? 'text-accent' : ''} />
                      </Button>
                      <Button
                        size="icon-sm"
                        variant="ghost"
                        aria-label={`Forget ${p.label || p.id}`}
                        onClick={() => act(api.forget(branch, p.id))}
                      >
                        <Trash2 />
                      </Button>
                    </>
                  )}
                </div>
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </>
  )
}
