import {
  CircleAlert,
  CircleCheck,
  CircleDashed,
  CircleHelp,
  CircleX,
  LoaderCircle,
  type LucideIcon,
  ShieldCheck,
  Undo2,
} from 'lucide-react'
import { lazy, type ReactNode, Suspense } from 'react'
import type { PlanStatement, Publish } from '@/api/publish'
import { words } from '@/lib/format'
import { cn } from '@/ui/cn'
import { Badge, Panel, PanelHead, Prose, type Tone } from '@/ui/pieces'

const SQLCode = lazy(() => import('@/ui/sql-code'))

/** SQL in colours; plain until what colours it has come. */
export function SQL({ sql, className }: { sql: string; className?: string }) {
  return (
    <Suspense fallback={<pre className={cn('whitespace-pre-wrap font-mono text-xs leading-5', className)}>{sql}</pre>}>
      <SQLCode sql={sql} className={className} />
    </Suspense>
  )
}

const states: Record<Publish['state'], { icon: LucideIcon; ink: string }> = {
  draft: { icon: CircleDashed, ink: 'text-muted' },
  planned: { icon: CircleDashed, ink: 'text-accent' },
  'needs answer': { icon: CircleHelp, ink: 'text-warn' },
  blocked: { icon: CircleAlert, ink: 'text-production' },
  rehearsing: { icon: LoaderCircle, ink: 'text-accent' },
  ready: { icon: ShieldCheck, ink: 'text-ok' },
  applying: { icon: LoaderCircle, ink: 'text-production' },
  published: { icon: CircleCheck, ink: 'text-ok' },
  failed: { icon: CircleX, ink: 'text-muted' },
  reverted: { icon: Undo2, ink: 'text-muted' },
}

export function PublishState({ state, className }: { state: Publish['state']; className?: string }) {
  const { icon: Icon, ink } = states[state]
  return (
    <span className={cn('inline-flex items-center gap-1.5 whitespace-nowrap', ink, className)} data-state={state}>
      <Icon className={cn('size-4 shrink-0', Icon === LoaderCircle && 'animate-spin')} aria-hidden />
      {words(state)}
    </span>
  )
}

const kinds: Record<Publish['kind'], string> = {
  schema: 'Development',
  migrations: 'Migration files',
  revert: 'Way back',
  expand: 'Expand',
  switch: 'Switch',
  contract: 'Contract',
}

/** Where a publish's statements come from. */
export function kindText(p: Publish): string {
  return p.reverts ? `Way back of ${p.reverts}` : kinds[p.kind]
}

const tones: Record<PlanStatement['class'], Tone> = {
  safe: 'ok',
  locking: 'warn',
  rewrites: 'warn',
  lossy: 'production',
  'breaks running code': 'production',
  'blocked by data': 'production',
}

export function Hazard({ of }: { of: string }) {
  return <Badge tone={tones[of as PlanStatement['class']] ?? 'plain'}>{of}</Badge>
}

export function Hazards({ hazards }: { hazards: string[] }) {
  if (hazards.length === 0) return <span className="text-faint">none</span>
  return (
    <span className="flex flex-wrap gap-1">
      {hazards.map((h) => (
        <Hazard key={h} of={h} />
      ))}
    </span>
  )
}

/** A list of sentences of the server under a heading; nothing where there are none. */
export function Sentences({
  title,
  about,
  items,
  tone,
}: {
  title: string
  about?: ReactNode
  items: readonly string[] | null | undefined
  tone?: 'production'
}) {
  if (!items || items.length === 0) return null
  return (
    <Panel className={cn(tone === 'production' && 'border-production/40')}>
      <PanelHead title={title} about={about} />
      <ul className="list-disc py-3 pr-4 pl-8 text-sm marker:text-faint">
        {items.map((text) => (
          <li key={text} className="py-0.5">
            <Prose>{text}</Prose>
          </li>
        ))}
      </ul>
    </Panel>
  )
}
