import { at, call, list } from './client'
import type { components } from './schema'
import type { Branch, Job, Project } from './types'

export type Removed = components['schemas']['Removed']

/** How something is removed: kept for seven days, or for good at once, which takes the name once more. */
export type Removal = { now: boolean; confirm: string; noBackup: boolean }

function query(how: Removal): string {
  if (!how.now) return ''
  return `?${new URLSearchParams({ now: 'true', confirm: how.confirm, no_backup: String(how.noBackup) })}`
}

/** Removing projects and branches, and bringing them back. */
export const removals = {
  all: (signal?: AbortSignal) => list<Removed>('/removed', signal),
  removeProject: (name: string, how: Removal) =>
    call<Job>('DELETE', `/projects/${encodeURIComponent(name)}${query(how)}`),
  removeBranch: (b: Branch, how: Removal) => call<Job>('DELETE', at(b.project, b.name, query(how))),
  bringBack: (r: Removed): Promise<Branch | Project> =>
    r.branch
      ? call<Branch>('POST', at(r.project, r.branch, '/undelete'))
      : call<Project>('POST', `/projects/${encodeURIComponent(r.project)}/undelete`),
}
