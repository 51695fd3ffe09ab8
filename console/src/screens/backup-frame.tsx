import { Link, type LinkProps } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import type { Backup } from '@/api/backups'
import { Badge } from '@/ui/pieces'
import { tabStyle } from '@/ui/tabs'
import { PageHead } from './page'

/** The head of the screens about backups, and the way between them. */
export function BackupHead({ name, children }: { name: string; children?: ReactNode }) {
  return (
    <>
      <PageHead
        name={name}
        title="Backups"
        about="Portable copies of a branch in formats that PostgreSQL’s own tools and others read."
      >
        {children}
      </PageHead>
      <nav
        aria-label="Parts of the backups"
        className="mb-5 flex gap-1 overflow-x-auto border-line border-b [scrollbar-width:none]"
      >
        <Part to="/admin/backups">Backups</Part>
        <Part to="/admin/backups/schedules">Schedules</Part>
        <Part to="/admin/backups/destinations">Destinations</Part>
      </nav>
    </>
  )
}

function Part({ to, children }: { to: LinkProps['to']; children: string }) {
  return (
    <Link
      to={to}
      className={tabStyle}
      activeOptions={{ exact: true, includeSearch: false }}
      activeProps={{ 'data-state': 'active', 'aria-current': 'page' }}
    >
      {children}
    </Link>
  )
}

const states = {
  in_progress: { tone: 'accent', text: 'In progress' },
  completed: { tone: 'ok', text: 'Completed' },
  failed: { tone: 'production', text: 'Failed' },
} as const

/** How a backup stands: whether it was made, proved, and why it is kept. */
export function BackupState({ backup: b }: { backup: Backup }) {
  return (
    <span className="flex flex-wrap gap-1">
      <Badge tone={states[b.status].tone}>{states[b.status].text}</Badge>
      {b.verified_at && <Badge tone="ok">verified</Badge>}
      {b.held && <Badge tone="warn">held</Badge>}
      {b.pinned && <Badge>pinned</Badge>}
    </span>
  )
}

export const formats: { value: string; label: string }[] = [
  { value: 'json', label: 'JSON – for any program, can be looked into' },
  { value: 'custom', label: 'Custom – for pg_restore' },
  { value: 'directory', label: 'Directory – for pg_restore, in parallel' },
  { value: 'plain', label: 'Plain SQL – for psql' },
  { value: 'csv', label: 'CSV – a file for each table' },
]
