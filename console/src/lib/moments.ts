import type { Backup } from '@/api/backups'
import type { Checkpoint, History } from '@/api/branches'
import type { Publish } from '@/api/publish'
import { moment, words } from './format'

/** A moment of a branch that means something: how it is drawn, listed and chosen. */
export type Mark = {
  id: string
  kind: 'checkpoint' | 'publish' | 'backup' | 'base'
  at: string
  name: string
  /** What names the moment to the server. */
  choose: string
}

export type Events = { history: History; points: Checkpoint[]; publishes: Publish[]; backups: Backup[] }

/** Everything that is known to have happened, the newest first. A publish is chosen as the moment before it. */
export function marksOf({ history, points, publishes, backups }: Events): Mark[] {
  const exact = (at: string) => moment(new Date(at))
  const marks: Mark[] = points.map((p) => ({
    id: p.id,
    kind: 'checkpoint',
    at: p.at,
    name: p.label || words(p.reason),
    choose: `checkpoint:${p.id}`,
  }))
  for (const p of publishes) {
    if (!p.started_at) continue
    const choose = p.checkpoint ? `checkpoint:${p.checkpoint}` : exact(p.started_at)
    marks.push({ id: `publish ${p.number}`, kind: 'publish', at: p.started_at, name: `Publish ${p.number}`, choose })
  }
  for (const b of backups) {
    if (!b.snapshot_at || b.status !== 'completed') continue
    marks.push({ id: b.id, kind: 'backup', at: b.snapshot_at, name: b.name, choose: exact(b.snapshot_at) })
  }
  for (const b of history.bases) {
    const name = b.incremental ? 'Base backup of changes' : 'Base backup'
    marks.push({ id: b.id, kind: 'base', at: b.at, name, choose: exact(b.at) })
  }
  return marks.sort((a, b) => new Date(b.at).getTime() - new Date(a.at).getTime())
}

/** The part of the history to draw: span seconds around the middle, moved so that it lies within what there is. */
export function viewOf(from: number, to: number, span: number, middle: number): { from: number; to: number } {
  if (span === 0 || span * 1000 >= to - from) return { from, to }
  const end = Math.min(to, Math.max(from + span * 1000, middle + span * 500))
  return { from: end - span * 1000, to: end }
}

/** The moment that a text names exactly, as moment() writes it; null for what only the server can read. */
export function exactly(text: string): Date | null {
  const parts = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) ?([+-]\d\d)(?::?(\d\d))?$/.exec(text.trim())
  if (!parts) return null
  const at = new Date(`${parts[1]}T${parts[2]}${parts[3]}:${parts[4] ?? '00'}`)
  return Number.isNaN(at.getTime()) ? null : at
}

/** As the browser's own field for a date and a time holds it, in the reader's zone. */
export function fieldOf(at: Date): string {
  return moment(at).slice(0, 19).replace(' ', 'T')
}

/** What a look shows and of which branch, by its name; null for any other name. */
export function lookOf(name: string): { parent: string; at: Date } | null {
  const parts = /^(.+)_at_(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)_[0-9a-z]{4}$/.exec(name)
  if (!parts) return null
  const [, parent, y, mo, d, h, mi, s] = parts
  const at = new Date(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`)
  return parent && !Number.isNaN(at.getTime()) ? { parent, at } : null
}
