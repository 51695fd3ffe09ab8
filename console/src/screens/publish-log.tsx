import { useQuery } from '@tanstack/react-query'
import { useEffect, useMemo, useRef } from 'react'
import { type Publish, type PublishEvent, publishQueries } from '@/api/publish'
import { clock, words } from '@/lib/format'
import { inMotion, milliseconds, type Run, runsOf } from '@/lib/publish'
import { cn } from '@/ui/cn'
import { Badge, ErrorNotice, Panel, PanelHead, type Tone } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'

const tones: Record<Run['state'], Tone> = { running: 'accent', waiting: 'warn', done: 'ok', 'taken back': 'plain' }

/** Production as it changes: what each statement took beside what it took in the rehearsal, and everything that happened. */
export function PublishLog({ publish }: { publish: Publish }) {
  const { data, error, refetch } = useQuery(publishQueries.log(publish))
  const moving = inMotion(publish)
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was told at the very end is read when it has ended
  useEffect(() => {
    refetch()
  }, [moving])
  const events = data ?? []
  const runs = useMemo(() => runsOf(data ?? []), [data])
  const statements = publish.plan?.statements ?? []
  if (!error && events.length === 0) return null
  return (
    <Panel>
      <PanelHead
        title={runs.size > 0 ? 'On production' : 'Log'}
        about={runs.size > 0 ? 'What each statement took, beside what it took in the rehearsal.' : undefined}
      />
      {error && <ErrorNotice error={error} className="m-3" />}
      {runs.size > 0 && (
        <Table aria-label="Predicted and real">
          <thead>
            <tr>
              <Th className="text-right">#</Th>
              <Th>What</Th>
              <Th className="text-right">Predicted</Th>
              <Th className="text-right">Took</Th>
              <Th className="text-right">Waited</Th>
              <Th>State</Th>
            </tr>
          </thead>
          <tbody>
            {[...runs.values()].map((run) => (
              <Tr key={run.statement}>
                <Td className="text-right text-faint">{run.statement}</Td>
                <Td>{statements[run.statement - 1]?.description ?? '–'}</Td>
                <Td className="whitespace-nowrap text-right text-muted">
                  {run.predicted === null ? '–' : milliseconds(run.predicted)}
                </Td>
                <Td className="whitespace-nowrap text-right font-medium">
                  {run.took === null ? '–' : milliseconds(run.took)}
                </Td>
                <Td className="whitespace-nowrap text-right text-muted">
                  {run.waited > 0 ? milliseconds(run.waited) : '–'}
                </Td>
                <Td>
                  <Badge tone={tones[run.state]}>{run.state}</Badge>
                </Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
      {events.length > 0 && <Lines events={events} />}
    </Panel>
  )
}

/** The log follows its end, unless somebody has scrolled up to read. */
function Lines({ events }: { events: PublishEvent[] }) {
  const box = useRef<HTMLDivElement>(null)
  const following = useRef(true)
  // biome-ignore lint/correctness/useExhaustiveDependencies: new lines are what moves the end
  useEffect(() => {
    if (box.current && following.current) box.current.scrollTop = box.current.scrollHeight
  }, [events])
  return (
    <div
      ref={box}
      role="log"
      aria-label="Log of the publish"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable with the keyboard
      tabIndex={0}
      onScroll={(e) => {
        const el = e.currentTarget
        following.current = el.scrollHeight - el.scrollTop - el.clientHeight < 24
      }}
      className="max-h-72 min-h-16 overflow-auto border-line border-t bg-sunken px-4 py-3 font-mono text-xs leading-5 last:rounded-b-xl"
    >
      {events.map((e, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines are only ever added at the end
        <div key={i} className="flex gap-3 whitespace-pre-wrap">
          <time dateTime={e.at} className="shrink-0 select-none text-faint">
            {clock(new Date(e.at))}
          </time>
          <span className={cn('w-20 shrink-0', e.phase === 'apply' ? 'text-production' : 'text-faint')}>
            {words(e.phase)}
          </span>
          <span className="min-w-0">{lineOf(e)}</span>
        </div>
      ))}
    </div>
  )
}

function lineOf(e: PublishEvent): string {
  const parts = [e.kind, e.statement > 0 ? `#${e.statement}` : '', e.direction === 'back' ? '(taken back)' : '', e.text]
  if (e.measure) parts.push(`in ${milliseconds(e.measure.time)}`)
  if (e.predicted) parts.push(`predicted ${milliseconds(e.predicted)}`)
  if (e.wait) parts.push(`next try in ${milliseconds(e.wait)}`)
  for (const b of e.blockers ?? []) {
    parts.push(`\n  held by ${b.application || b.role || 'a session'} (pid ${b.pid}, ${b.state ?? 'active'})`)
  }
  return parts.filter(Boolean).join(' ')
}
