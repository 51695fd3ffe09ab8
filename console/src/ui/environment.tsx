import type { Activity, Environment } from '@/api/types'
import { cn } from './cn'
import { Badge, type Tone } from './pieces'

export const environmentTone: Record<Environment, Tone> = {
  development: 'development',
  production: 'production',
  preview: 'preview',
}

/** Which environment something belongs to, in its colour. */
export function EnvironmentBadge({ environment, className }: { environment: Environment; className?: string }) {
  return (
    <Badge tone={environmentTone[environment]} className={cn('capitalize', className)}>
      {environment}
    </Badge>
  )
}

const dots: Record<Environment, string> = {
  development: 'bg-development',
  production: 'bg-production',
  preview: 'bg-preview',
}

export function EnvironmentDot({ environment }: { environment: Environment }) {
  return <span className={cn('size-2 shrink-0 rounded-[3px]', dots[environment])} aria-hidden />
}

const looks: Record<Activity, { dot: string; text: string }> = {
  awake: { dot: 'bg-ok', text: 'Awake' },
  waking: { dot: 'bg-ok animate-breathe', text: 'Waking' },
  asleep: { dot: 'bg-transparent border-[1.5px] border-faint', text: 'Asleep' },
  sleeping: { dot: 'bg-faint animate-breathe', text: 'Falling asleep' },
  broken: { dot: 'bg-production', text: 'Broken' },
}

/** What a branch's server is doing. */
export function ActivityMark({ activity, className }: { activity: Activity; className?: string }) {
  const look = looks[activity]
  return (
    <span
      className={cn('inline-flex items-center gap-1.5 whitespace-nowrap align-middle', className)}
      data-activity={activity}
    >
      <span className={cn('size-2 shrink-0 rounded-full', look.dot)} aria-hidden />
      {look.text}
    </span>
  )
}

export function ActivityDot({ activity }: { activity: Activity }) {
  return (
    <span
      role="img"
      className={cn('block size-2 shrink-0 rounded-full', looks[activity].dot)}
      aria-label={looks[activity].text}
      title={looks[activity].text}
    />
  )
}
