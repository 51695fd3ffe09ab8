import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { Eye, Info, RefreshCw, Rocket, Undo2, X } from 'lucide-react'
import { useState } from 'react'
import { publishes as api, type Publish, publishQueries, replan } from '@/api/publish'
import { queries } from '@/api/queries'
import type { Job } from '@/api/types'
import { moment } from '@/lib/format'
import { inMotion, isOpen } from '@/lib/publish'
import { type Rights, useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { Ago, ErrorNotice, Notice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { JobDialog } from './job-dialog'
import { JobProgress } from './job-progress'
import { PageHead } from './page'
import { ApplyDialog } from './publish-apply'
import { PublishLog } from './publish-log'
import { Hazards, kindText, PublishState, Sentences } from './publish-pieces'
import { Drift, OtherAnswer, Questions, Statements } from './publish-plan'
import { Report } from './publish-report'

/** One publish, from its plan over its rehearsal to production, and back. */
export function PublishScreen() {
  const { project, number } = useParams({ from: '/inside/projects/$project/publish/$number' })
  const { data: p, error } = useQuery(publishQueries.one(project, Number(number)))
  const rights = useRights(project)
  if (error && !p) return <ErrorNotice error={error} />
  if (!p) return <Skeleton className="h-80" />
  return (
    <>
      <PageHead
        name={`Publish ${p.number} · ${project}`}
        title={
          <span className="flex flex-wrap items-center gap-x-3 gap-y-1">
            Publish {p.number}
            <PublishState state={p.state} className="font-normal text-sm" />
          </span>
        }
        about={<About publish={p} />}
      >
        <Actions publish={p} rights={rights} />
      </PageHead>
      <div className="flex flex-col gap-5">
        <Told publish={p} rights={rights} />
        <Body publish={p} rights={rights} />
      </div>
    </>
  )
}

function About({ publish: p }: { publish: Publish }) {
  return (
    <span className="flex flex-wrap items-center gap-x-2 gap-y-1">
      <span>
        {kindText(p)} · by {p.author.replace(/^token /, '')} · planned <Ago at={p.planned_at ?? p.created_at} />
        {p.approver && ` · approved by ${p.approver.replace(/^token /, '')}`}
      </span>
      {p.hazards.length > 0 && <Hazards hazards={p.hazards} />}
    </span>
  )
}

/** Puts what an operation answered with on the page and asks for what follows from it. */
function useSee(project: string) {
  const client = useQueryClient()
  return (p?: Publish) => {
    if (p) client.setQueryData(publishQueries.one(project, p.number).queryKey, p)
    client.invalidateQueries({ queryKey: ['publish', project] })
    client.invalidateQueries({ queryKey: ['publishes', project] })
  }
}

function mayApply(rights: Rights): boolean {
  return rights.admin && !rights.agent
}

function Actions({ publish: p, rights }: { publish: Publish; rights: Rights }) {
  const [asking, setAsking] = useState<'apply' | 'revert' | 'cancel' | 'keep' | null>(null)
  const you = useQuery(queries.server()).data?.you
  const see = useSee(p.project)
  const navigate = useNavigate()
  const go = (made: Publish) => {
    see(made)
    navigate({
      to: '/projects/$project/publish/$number',
      params: { project: p.project, number: String(made.number) },
    })
  }
  const plan = useMutation({ mutationFn: () => replan(p, []), onSuccess: go })
  const rehearse = useMutation({ mutationFn: (keep: boolean) => api.rehearse(p, keep), onSettled: () => see() })
  const contract = useMutation({ mutationFn: () => api.contract(p), onSuccess: go })
  const open = isOpen(p) && !inMotion(p)
  const canRehearse = open && p.statements > 0 && !(p.plan?.questions?.length || p.plan?.problems?.length)
  const mayCancel = rights.write && (mayApply(rights) || (p.author === you?.name && p.state !== 'applying'))
  const graceful = p.state === 'published' && p.grace_until !== undefined && new Date(p.grace_until) > new Date()
  const error = plan.error ?? rehearse.error ?? contract.error
  return (
    <>
      {open && rights.write && p.kind !== 'migrations' && (
        <Button busy={plan.isPending} onClick={() => plan.mutate()}>
          <RefreshCw /> Plan again
        </Button>
      )}
      {canRehearse && mayApply(rights) && (
        <Button onClick={() => setAsking('keep')}>
          <Eye /> Rehearse and keep the copy…
        </Button>
      )}
      {canRehearse && rights.write && (
        <Button
          variant={p.state === 'ready' ? 'secondary' : 'primary'}
          busy={rehearse.isPending}
          onClick={() => rehearse.mutate(false)}
        >
          {p.state === 'ready' ? 'Rehearse again' : 'Rehearse'}
        </Button>
      )}
      {p.state === 'ready' && mayApply(rights) && (
        <Button variant="danger" onClick={() => setAsking('apply')}>
          <Rocket /> Apply to production…
        </Button>
      )}
      {p.kind === 'switch' && p.state === 'published' && rights.write && (
        <Button busy={contract.isPending} onClick={() => contract.mutate()}>
          Plan the contraction
        </Button>
      )}
      {graceful && mayApply(rights) && (
        <Button onClick={() => setAsking('revert')}>
          <Undo2 /> Revert…
        </Button>
      )}
      {(isOpen(p) || p.state === 'applying') && mayCancel && (
        <Button variant="ghost" onClick={() => setAsking('cancel')}>
          <X /> {p.state === 'applying' ? 'Stop and take back…' : 'Give up…'}
        </Button>
      )}
      {error && <ErrorNotice error={error} className="w-full" />}
      {asking === 'apply' && <ApplyDialog publish={p} onClose={() => setAsking(null)} onApplied={() => see()} />}
      <Confirm
        open={asking === 'revert'}
        onOpenChange={() => setAsking(null)}
        title={`Plan the way back of publish ${p.number}?`}
        action="Plan the way back"
        onConfirm={async () => go(await api.revert(p.project, p.number, []))}
      >
        Nothing is changed yet. You see what cannot come back first; then it is rehearsed and applied like any publish.
      </Confirm>
      <Confirm
        open={asking === 'cancel'}
        onOpenChange={() => setAsking(null)}
        title={p.state === 'applying' ? `Take publish ${p.number} back?` : `Give publish ${p.number} up?`}
        action={p.state === 'applying' ? 'Take it back' : 'Give it up'}
        danger
        production={p.state === 'applying'}
        onConfirm={async () => see(await api.cancel(p))}
      >
        {p.state === 'applying'
          ? 'What was done to production so far is taken back.'
          : 'It has changed nothing. Its answers are forgotten with it.'}
      </Confirm>
      <Confirm
        open={asking === 'keep'}
        onOpenChange={() => setAsking(null)}
        title="Keep the copy?"
        action="Rehearse and keep"
        onConfirm={() => rehearse.mutateAsync(true)}
      >
        The copy stays as a preview branch that a program can be pointed at. It has production’s rows as they are.
      </Confirm>
    </>
  )
}

/** What a person should know first: what runs, why it stopped, who can go on. */
function Told({ publish: p, rights }: { publish: Publish; rights: Rights }) {
  const see = useSee(p.project)
  const branch = p.preview?.split('/')[1]
  return (
    <>
      {inMotion(p) && p.job && (
        <Panel className={p.state === 'applying' ? 'border-t-3 border-t-production-solid' : ''}>
          <PanelHead
            title={p.state === 'applying' ? 'Production is being changed' : 'Rehearsing on a copy of production'}
            about="It goes on when you close this page."
          />
          <div className="p-4">
            <JobProgress id={p.job} onEnd={() => see()} />
          </div>
        </Panel>
      )}
      {p.error && (p.state === 'blocked' || p.state === 'failed') && <ErrorNotice error={p.error} />}
      {p.state === 'ready' && rights.known && !mayApply(rights) && (
        <Notice tone="accent" icon={Info}>
          <span>It is ready. An admin of the project can apply it to production.</span>
        </Notice>
      )}
      {p.state === 'published' && p.grace_until && !p.reverted_by && new Date(p.grace_until) > new Date() && (
        <Notice tone="accent" icon={Undo2}>
          <span>
            What it dropped is set aside, and it can be reverted with the rows that were written since, until{' '}
            {moment(new Date(p.grace_until))}.
          </span>
        </Notice>
      )}
      {p.reverted_by !== undefined && p.reverted_by > 0 && (
        <Notice tone="accent" icon={Undo2}>
          <span>Publish {p.reverted_by} took it back.</span>
        </Notice>
      )}
      {branch && (
        <Notice tone="accent" icon={Eye}>
          <span>The copy that it was rehearsed on was kept. It has production’s rows.</span>
          <Button size="sm" asChild>
            <Link to="/projects/$project/branches/$branch" params={{ project: p.project, branch }}>
              Open {branch}
            </Link>
          </Button>
        </Notice>
      )}
    </>
  )
}

function Body({ publish: p, rights }: { publish: Publish; rights: Rights }) {
  const see = useSee(p.project)
  const [adopting, setAdopting] = useState<Job | null>(null)
  const plan = p.plan
  const may = rights.write && isOpen(p) && !inMotion(p) && (p.kind !== 'revert' || mayApply(rights))
  const replanned = useMutation({ mutationFn: () => replan(p, []), onSuccess: see })
  if (!plan) return null
  const asks = plan.questions ?? []
  const answers = { publish: p, may, onPlanned: see }
  return (
    <>
      <Sentences
        title="What cannot come back"
        about="The way back restores everything else, with the rows that were written since."
        items={plan.lost}
        tone="production"
      />
      {asks.length > 0 && isOpen(p) && <Questions {...answers} questions={asks} />}
      <Sentences
        title="Cannot be carried"
        items={plan.problems?.map((q) => `${q.object}: ${q.reason}`)}
        tone="production"
      />
      {p.started_at && <PublishLog publish={p} />}
      {p.report && <Report report={p.report} />}
      {!p.started_at && <PublishLog publish={p} />}
      <Sentences
        title="Renames"
        about="These keep their content."
        items={plan.renames?.map((r) => `${r.from} is ${r.to} now (${whys[r.why]})`)}
      />
      {plan.drift && plan.drift.length > 0 && (
        <Drift {...answers} drift={plan.drift} may={may && rights.write} onAdopting={setAdopting} />
      )}
      <Sentences title="Notes" items={plan.notes} />
      <Statements plan={plan} />
      {isOpen(p) && (may || (p.answers ?? []).length > 0) && <OtherAnswer {...answers} />}
      <JobDialog
        id={adopting?.id ?? null}
        title="Taking it into development"
        onClose={() => setAdopting(null)}
        onEnd={() => replanned.mutate()}
      />
    </>
  )
}

const whys = { identity: 'the server’s own number says so', structure: 'they are built alike', answer: 'as answered' }
