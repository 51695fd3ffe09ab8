import { History as Icon } from 'lucide-react'
import { useState } from 'react'
import type { History } from '@/api/branches'
import { duration, moment } from '@/lib/format'
import { type Mark, viewOf } from '@/lib/moments'
import { cn } from '@/ui/cn'
import { Select } from '@/ui/field'
import { Empty, Panel, PanelHead } from '@/ui/pieces'

const lanes: { kind: Mark['kind']; name: string; colour: string; top: number }[] = [
  { kind: 'checkpoint', name: 'Checkpoint', colour: 'bg-accent-solid', top: 4 },
  { kind: 'publish', name: 'Publish', colour: 'bg-preview', top: 24 },
  { kind: 'backup', name: 'Backup', colour: 'bg-ok', top: 44 },
  { kind: 'base', name: 'Base backup', colour: 'bg-muted', top: 64 },
]

const spans = [
  { value: '0', label: 'All of it' },
  { value: '604800', label: '7 days' },
  { value: '86400', label: '24 hours' },
  { value: '21600', label: '6 hours' },
  { value: '3600', label: '1 hour' },
  { value: '600', label: '10 minutes' },
  { value: '60', label: '1 minute' },
]

type Props = { history: History; marks: Mark[]; chosen: Date | null; onChoose: (at: string) => void }

/** The window as a bar: what can be restored, what cannot, and what happened. A press chooses the moment. */
export function Timeline({ history: h, marks, chosen, onChoose }: Props) {
  const [span, setSpan] = useState('0')
  if (!h.earliest || !h.latest)
    return (
      <Panel>
        <Empty icon={Icon} title="No moment can be had yet">
          The history begins with the first base backup, which is made by itself soon after the branch is first used.
        </Empty>
      </Panel>
    )
  const first = new Date(h.earliest).getTime()
  const last = Math.max(new Date(h.latest).getTime(), first + 1000)
  const view = viewOf(first, last, Number(span), chosen?.getTime() ?? last)
  const share = (at: string | number) => (100 * (new Date(at).getTime() - view.from)) / (view.to - view.from)
  const inside = (at: string | number) => share(at) >= 0 && share(at) <= 100
  const kept = (percent: number) => `${Math.min(100, Math.max(0, percent))}%`
  const gaps = h.gaps.filter((g) => share(g.to) >= 0 && share(g.from) <= 100)
  const pressed = (x: number, box: DOMRect) =>
    onChoose(moment(new Date(view.from + (view.to - view.from) * Math.min(1, Math.max(0, (x - box.left) / box.width)))))
  return (
    <Panel>
      <PanelHead title="Timeline" about={`Every moment of the last ${duration(h.window_seconds)} is kept.`}>
        <Select aria-label="How much is shown" value={span} onValueChange={setSpan} options={spans} className="w-32" />
      </PanelHead>
      <div className="p-4">
        <div className="relative h-22">
          <button
            type="button"
            aria-label="Choose a moment on the timeline"
            className="absolute inset-0 cursor-crosshair overflow-hidden rounded-md bg-development-soft"
            onClick={(e) => pressed(e.clientX, e.currentTarget.getBoundingClientRect())}
          >
            {gaps.map((g) => (
              <span
                key={g.from}
                title={`Cannot be restored: ${g.reason}`}
                className="absolute inset-y-0 bg-production-solid/60"
                style={{ left: kept(share(g.from)), right: `calc(100% - ${kept(share(g.to))})` }}
              />
            ))}
          </button>
          {lanes.flatMap((lane) =>
            marks
              .filter((m) => m.kind === lane.kind && inside(m.at))
              .map((m) => (
                // The list below says the same; here it is for the pointer.
                <button
                  key={`${m.kind} ${m.id}`}
                  type="button"
                  tabIndex={-1}
                  aria-label={`Choose ${m.name}`}
                  title={`${m.name}, ${moment(new Date(m.at))}`}
                  className={cn('absolute h-4 w-1.5 -translate-x-1/2 rounded hover:w-2.5', lane.colour)}
                  style={{ left: kept(share(m.at)), top: lane.top }}
                  onClick={() => onChoose(m.choose)}
                />
              )),
          )}
          {chosen && inside(chosen.getTime()) && (
            <span
              aria-hidden
              className="pointer-events-none absolute inset-y-0 w-0.5 -translate-x-1/2 bg-text"
              style={{ left: kept(share(chosen.getTime())) }}
            />
          )}
        </div>
        <div className="mt-1 flex flex-wrap justify-between gap-x-3 text-faint text-xs">
          <span>{moment(new Date(view.from))}</span>
          <span>{moment(new Date(view.to))}</span>
        </div>
        <ul className="mt-2 flex flex-wrap gap-x-4 gap-y-1 text-muted text-xs" aria-label="Legend">
          {lanes.map((lane) => (
            <li key={lane.kind} className="flex items-center gap-1.5">
              <span className={cn('h-3 w-1.5 rounded', lane.colour)} aria-hidden />
              {lane.name}
            </li>
          ))}
          <li className="flex items-center gap-1.5">
            <span className="h-3 w-3 rounded bg-production-solid/60" aria-hidden />
            Cannot be restored
          </li>
        </ul>
        {h.gaps.map((g) => (
          <p key={g.from} className="mt-1 text-production text-xs">
            {moment(new Date(g.from))} to {moment(new Date(g.to))} cannot be restored: {g.reason}
          </p>
        ))}
      </div>
    </Panel>
  )
}
