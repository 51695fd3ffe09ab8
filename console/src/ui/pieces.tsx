import { cva, type VariantProps } from 'class-variance-authority'
import { CircleAlert, type LucideIcon } from 'lucide-react'
import { type ComponentProps, Fragment, type ReactNode, useEffect, useState } from 'react'
import { asProblem } from '@/api/problem'
import { ago, moment } from '@/lib/format'
import { cn } from './cn'
import { Tooltip } from './tooltip'

const badge = cva('inline-flex h-5 items-center gap-1 whitespace-nowrap rounded-full px-2 font-medium text-2xs', {
  variants: {
    tone: {
      plain: 'bg-hover text-muted',
      accent: 'bg-accent-soft text-accent',
      ok: 'bg-development-soft text-ok',
      warn: 'bg-warn-soft text-warn',
      production: 'bg-production-soft text-production',
      development: 'bg-development-soft text-development',
      preview: 'bg-preview-soft text-preview',
    },
  },
  defaultVariants: { tone: 'plain' },
})

export type Tone = NonNullable<VariantProps<typeof badge>['tone']>

export function Badge({ tone, className, ...props }: ComponentProps<'span'> & { tone?: Tone }) {
  return <span className={cn(badge({ tone }), className)} {...props} />
}

export function Panel({ className, ...props }: ComponentProps<'section'>) {
  return <section className={cn('rounded-xl border border-line bg-panel shadow-panel', className)} {...props} />
}

export function PanelHead({ title, about, children }: { title: ReactNode; about?: ReactNode; children?: ReactNode }) {
  return (
    <div className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2 border-line border-b px-4 py-2.5">
      <div className="min-w-0">
        <h2 className="font-semibold text-sm">{title}</h2>
        {about && <p className="text-faint text-xs">{about}</p>}
      </div>
      {children && <div className="flex flex-wrap items-center gap-2">{children}</div>}
    </div>
  )
}

export function Kbd({ children }: { children: ReactNode }) {
  return (
    <kbd className="inline-grid h-4.5 min-w-4.5 place-items-center rounded border border-line-strong border-b-2 bg-panel px-1 font-sans text-2xs text-muted">
      {children}
    </kbd>
  )
}

/** Text of the server in which `code` stands between backticks. It is text and stays text. */
export function Prose({ children }: { children: string }) {
  return children.split('`').map((part, i) =>
    i % 2 === 1 ? (
      // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one text have no other identity
      <code key={i} className="rounded bg-text/8 px-1 py-px text-[0.92em]">
        {part}
      </code>
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: as above
      <Fragment key={i}>{part}</Fragment>
    ),
  )
}

/** Begins with a capital, unless the first word is the name of something. */
function sentence(text: string): string {
  if (!/^[a-z]+[ ,:](?!=)/.test(text)) return text
  return text === '' ? text : text[0]?.toUpperCase() + text.slice(1)
}

/** Why something did not succeed, as the server says it, and what to do next. */
export function ErrorNotice({
  error,
  className,
  children,
}: {
  error: unknown
  className?: string
  children?: ReactNode
}) {
  const problem = asProblem(error)
  return (
    <div
      role="alert"
      className={cn(
        'flex gap-2.5 rounded-lg border border-production/30 bg-production-soft px-3 py-2.5 text-sm',
        className,
      )}
    >
      <CircleAlert className="mt-0.5 size-4 shrink-0 text-production" aria-hidden />
      <div className="min-w-0 flex-1">
        <p className="font-medium">
          <Prose>{sentence(problem.message)}</Prose>
        </p>
        {problem.hint && (
          <p className="mt-0.5 text-muted">
            <Prose>{sentence(problem.hint)}</Prose>
          </p>
        )}
        {children && <div className="mt-2 flex gap-2">{children}</div>}
      </div>
    </div>
  )
}

export function Notice({
  tone,
  icon: Icon,
  children,
}: {
  tone: 'warn' | 'accent'
  icon: LucideIcon
  children: ReactNode
}) {
  const colours = tone === 'warn' ? 'border-warn/30 bg-warn-soft' : 'border-accent/25 bg-accent-soft'
  const ink = tone === 'warn' ? 'text-warn' : 'text-accent'
  return (
    <div className={cn('flex items-start gap-2.5 rounded-lg border px-3 py-2.5 text-sm', colours)}>
      <Icon className={cn('mt-0.5 size-4 shrink-0', ink)} aria-hidden />
      <div className="flex min-w-0 flex-1 flex-wrap items-center justify-between gap-2">{children}</div>
    </div>
  )
}

/** What a list shows that has nothing in it: why that is, and what to do. */
export function Empty({
  icon: Icon,
  title,
  children,
  action,
}: {
  icon: LucideIcon
  title: string
  children?: ReactNode
  action?: ReactNode
}) {
  return (
    <div className="flex flex-col items-center px-6 py-14 text-center">
      <span className="grid size-11 place-items-center rounded-xl border border-line bg-sunken text-muted">
        <Icon className="size-5" aria-hidden />
      </span>
      <h2 className="mt-4 font-semibold text-base">{title}</h2>
      {children && <div className="mt-1 max-w-md text-muted text-sm">{children}</div>}
      {action && <div className="mt-5 flex gap-2">{action}</div>}
    </div>
  )
}

export function Skeleton({ className }: { className?: string }) {
  return <div className={cn('animate-breathe rounded-md bg-hover', className)} aria-hidden />
}

/** The moment of which the page says how long ago it was; it goes on by itself. */
export function useNow(everySeconds: number): Date {
  const [now, setNow] = useState(() => new Date())
  useEffect(() => {
    const timer = setInterval(() => setNow(new Date()), everySeconds * 1000)
    return () => clearInterval(timer)
  }, [everySeconds])
  return now
}

/** How long ago something was; the exact moment with its zone is in the tooltip. */
export function Ago({ at, className }: { at: string; className?: string }) {
  const now = useNow(10)
  const then = new Date(at)
  return (
    <Tooltip text={moment(then)}>
      <time dateTime={at} className={cn('whitespace-nowrap', className)}>
        {ago(then, now)}
      </time>
    </Tooltip>
  )
}

/** A bar that fills; without a total it only shows that something moves. */
export function Progress({ done, total, label }: { done: number; total: number; label: string }) {
  const known = total > 0
  const percent = known ? Math.min(100, (100 * done) / total) : 0
  return (
    <div
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={known ? Math.round(percent) : undefined}
      className="h-1.5 overflow-hidden rounded-full bg-hover"
    >
      {known ? (
        <div
          className="h-full rounded-full bg-accent-solid transition-[width] duration-300"
          style={{ width: `${percent}%` }}
        />
      ) : (
        <div className="h-full w-1/3 animate-sweep rounded-full bg-accent-solid" />
      )}
    </div>
  )
}
