import { useQuery } from '@tanstack/react-query'
import { CircleCheck, CircleDashed, CircleSlash, CircleX, LoaderCircle } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import { queries, useJobLive } from '@/api/queries'
import type { Job } from '@/api/types'
import { bytes, count, duration } from '@/lib/format'
import { cn } from '@/ui/cn'
import { ErrorNotice, Progress, Skeleton } from '@/ui/pieces'

const marks = {
  queued: { icon: CircleDashed, text: 'Waiting', ink: 'text-muted' },
  running: { icon: LoaderCircle, text: 'Running', ink: 'text-accent' },
  canceling: { icon: LoaderCircle, text: 'Being taken back', ink: 'text-warn' },
  succeeded: { icon: CircleCheck, text: 'Succeeded', ink: 'text-ok' },
  failed: { icon: CircleX, text: 'Failed', ink: 'text-production' },
  canceled: { icon: CircleSlash, text: 'Canceled', ink: 'text-muted' },
} as const

export function JobState({ state, className }: { state: Job['state']; className?: string }) {
  const mark = marks[state]
  const turning = mark.icon === LoaderCircle
  return (
    <span className={cn('inline-flex items-center gap-1.5 whitespace-nowrap', mark.ink, className)} data-state={state}>
      <mark.icon className={cn('size-4 shrink-0', turning && 'animate-spin')} aria-hidden />
      {mark.text}
    </span>
  )
}

/** An amount in the job's own unit. */
export function amount(n: number, unit: string | undefined): string {
  if (unit === 'bytes') return bytes(n)
  return unit ? `${count(n)} ${unit}` : count(n)
}

/** How long the step still takes, from how fast it went while it was watched; null while that cannot be told. */
function useRemaining(job: Job | undefined): number | null {
  const start = useRef<{ step: number; at: number; done: number } | null>(null)
  const [left, setLeft] = useState<number | null>(null)
  useEffect(() => {
    if (!job?.total || job.state !== 'running') return setLeft(null)
    const now = Date.now()
    if (!start.current || start.current.step !== job.step_index || job.done < start.current.done) {
      start.current = { step: job.step_index, at: now, done: job.done }
    }
    const seconds = (now - start.current.at) / 1000
    const moved = job.done - start.current.done
    setLeft(seconds > 1.5 && moved > 0 ? ((job.total - job.done) * seconds) / moved : null)
  }, [job])
  return left
}

/** A job as it goes: its step, how far it is, how long it takes, and at last how it ended. */
export function JobProgress({ id, onEnd }: { id: string; onEnd?: (job: Job) => void }) {
  useJobLive(id)
  const { data: job, error } = useQuery(queries.job(id))
  const left = useRemaining(job)
  const told = useRef(onEnd)
  told.current = onEnd
  useEffect(() => {
    if (job?.state === 'succeeded') told.current?.(job)
  }, [job])
  if (error && !job) return <ErrorNotice error={error} />
  if (!job) return <Skeleton className="h-10" />
  const steps = Math.max(job.step_count, 1)
  return (
    <div className="flex flex-col gap-2" aria-live="polite">
      <div className="flex items-center justify-between gap-3">
        <JobState state={job.state} className="font-medium" />
        {job.step_count > 0 && job.state === 'running' && (
          <span className="text-faint text-xs">
            Step {Math.min(job.step_index + 1, steps)} of {steps}
          </span>
        )}
      </div>
      {(job.state === 'running' || job.state === 'queued' || job.state === 'canceling') && (
        <>
          <Progress
            label={job.step || job.kind}
            done={job.done}
            total={job.state === 'running' ? (job.total ?? 0) : 0}
          />
          <p className="flex justify-between gap-3 text-muted text-xs">
            <span>{job.step}</span>
            <span className="whitespace-nowrap">
              {job.total
                ? `${amount(job.done, job.unit)} of ${amount(job.total, job.unit)}`
                : job.done > 0 && amount(job.done, job.unit)}
              {left !== null && ` · about ${duration(Math.max(1, left))} left`}
            </span>
          </p>
        </>
      )}
      {job.state === 'failed' && job.error && <ErrorNotice error={job.error} />}
    </div>
  )
}
