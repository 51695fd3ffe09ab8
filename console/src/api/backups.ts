import { at, call, list, send } from './client'
import type { components } from './schema'
import type { Job } from './types'

type Schemas = components['schemas']
export type Backup = Schemas['Backup']
export type BackupData = Schemas['BackupData']
export type BackupHealth = Schemas['BackupHealth']
export type BackupStats = Schemas['BackupStats']
export type ExportFolder = Schemas['ExportFolder']
export type Location = Schemas['Location']
export type LocationTest = Schemas['LocationTest']
export type NewBackup = Schemas['NewBackup']
export type RestoreBackup = Schemas['RestoreBackup']
export type Schedule = Schemas['Schedule']
export type TableSet = Schemas['TableSet']

/** A proof that a backup restores, as docs/formats/backup-report.md describes it. */
export type Proof = {
  name: string
  project: string
  branch: string
  sha256: string
  size: number
  snapshot_at: string
  started_at: string
  ended_at: string
  server_version: string
  by?: string
  passed: boolean
  findings: Finding[] | null
  notes?: string[]
}

export type Finding = {
  check: string
  state: 'passed' | 'warning' | 'failed' | 'skipped'
  detail?: string
  hint?: string
  items?: string[]
}

export type BranchName = { project: string; branch: string }

const root = '/api/admin/backups'
const one = (id: string, rest = '') => `${root}/${encodeURIComponent(id)}${rest}`
const of = (project: string, rest: string) => `/projects/${encodeURIComponent(project)}${rest}`

/** Portable backups. Their routes stand beside those of the versioned API. */
export const backups = {
  all: async (signal?: AbortSignal) => (await call<{ items: Backup[] }>('GET', root, { signal, prefix: '' })).items,
  ofBranch: async (b: BranchName, signal?: AbortSignal) => {
    const query = new URLSearchParams(b)
    return (await call<{ items: Backup[] }>('GET', `${root}?${query}`, { signal, prefix: '' })).items
  },
  one: (id: string, signal?: AbortSignal) => call<Backup>('GET', one(id), { signal, prefix: '' }),
  create: (ask: NewBackup) => call<Backup>('POST', root, { body: ask, prefix: '' }),
  change: (id: string, change: Schemas['BackupChange']) => call<Backup>('PATCH', one(id), { body: change, prefix: '' }),
  remove: (id: string, force: boolean) => call<void>('DELETE', one(id, force ? '?force=true' : ''), { prefix: '' }),
  verify: (id: string) => call<Job>('POST', one(id, '/verify'), { prefix: '' }),
  /** The last proof: what was found, and the same as a page for people. */
  report: (id: string, signal?: AbortSignal) =>
    call<{ report: Proof; page: string }>('GET', one(id, '/report'), { signal, prefix: '' }),
  stats: (b: BranchName, signal?: AbortSignal) =>
    call<BackupStats>('GET', `${root}/stats?${new URLSearchParams(b)}`, { signal, prefix: '' }),
  rows: (id: string, table: string, page: number, signal?: AbortSignal) =>
    call<BackupData>('GET', one(id, `/data?page=${page}${table && `&table=${encodeURIComponent(table)}`}`), {
      signal,
      prefix: '',
    }),
  /** Hands the backup to the browser as a file. The token is sent in a header, never in the address. */
  download: async (b: Backup) => {
    const response = await send('GET', one(b.id, '/download'), { accept: '*/*', prefix: '' })
    const named = /filename="?([^";]+)"?/.exec(response.headers.get('Content-Disposition') ?? '')?.[1]
    const url = URL.createObjectURL(await response.blob())
    const link = document.createElement('a')
    link.href = url
    link.download = named ?? b.name
    link.click()
    setTimeout(() => URL.revokeObjectURL(url), 60_000)
  },
  restore: (to: BranchName, ask: RestoreBackup) =>
    call<Job>('POST', at(to.project, to.branch, '/restore-backup'), { body: ask }),
  undoRestore: (to: BranchName) =>
    call<Job>('POST', at(to.project, to.branch, '/restore-backup/undo'), {
      body: { confirm: `${to.project}/${to.branch}` },
    }),
  health: (b: BranchName, signal?: AbortSignal) =>
    call<BackupHealth>('GET', at(b.project, b.branch, '/backup-health'), { signal }),
}

/** What is done with a branch again and again. */
export const schedules = {
  of: (b: BranchName, signal?: AbortSignal) => list<Schedule>(at(b.project, b.branch, '/schedules'), signal),
  set: (b: BranchName, name: string, { name: _, last_run, next, job, ...ask }: Schedule) =>
    call<void>('PUT', at(b.project, b.branch, `/schedules/${encodeURIComponent(name)}`), { body: ask }),
  remove: (b: BranchName, name: string) =>
    call<void>('DELETE', at(b.project, b.branch, `/schedules/${encodeURIComponent(name)}`)),
}

/** Where the history and the backups of a project are kept. */
export const locations = {
  of: (project: string, signal?: AbortSignal) => list<Location>(of(project, '/locations'), signal),
  add: (project: string, l: Location) => call<void>('POST', of(project, '/locations'), { body: l }),
  test: (project: string, l: Location) => call<LocationTest>('POST', of(project, '/location-test'), { body: l }),
  remove: (project: string, name: string) =>
    call<void>('DELETE', of(project, `/locations/${encodeURIComponent(name)}`)),
  setFolder: (project: string, folder: ExportFolder) =>
    call<void>('PUT', of(project, '/export-folder'), { body: folder }),
  removeFolder: (project: string) => call<void>('DELETE', of(project, '/export-folder')),
}

/** A project's named sets of tables. */
export const tableSets = {
  of: (project: string, signal?: AbortSignal) => list<TableSet>(of(project, '/table-sets'), signal),
  set: (project: string, name: string, tables: string[]) =>
    call<void>('PUT', of(project, `/table-sets/${encodeURIComponent(name)}`), { body: { tables } }),
  remove: (project: string, name: string) =>
    call<void>('DELETE', of(project, `/table-sets/${encodeURIComponent(name)}`)),
}
