import { at, call, list } from './client'
import type { components } from './schema'
import type { Branch, Job } from './types'

type Schemas = components['schemas']
export type NewBranch = Schemas['NewBranch']
export type BranchChange = Schemas['BranchChange']
export type MaskRule = Schemas['MaskRule']
export type History = Schemas['History']
export type Checkpoint = Schemas['Checkpoint']
export type RestorePlan = Schemas['RestorePlan']

const of = (project: string, rest: string) => `/projects/${encodeURIComponent(project)}${rest}`

/** Branches, their history, and how copies are masked. */
export const branches = {
  create: (project: string, ask: NewBranch) => call<Job>('POST', of(project, '/branches'), { body: ask }),
  change: (b: Branch, change: BranchChange) => call<Branch>('PATCH', at(b.project, b.name), { body: change }),
  rename: (b: Branch, name: string) => call<Job>('POST', at(b.project, b.name, '/rename'), { body: { name } }),
  reset: (b: Branch) => call<Job>('POST', at(b.project, b.name, '/reset')),

  masking: (project: string, signal?: AbortSignal) => list<MaskRule>(of(project, '/masking'), signal),
  setMasking: (project: string, items: MaskRule[]) => call<void>('PUT', of(project, '/masking'), { body: { items } }),

  history: (b: Branch, signal?: AbortSignal) => call<History>('GET', at(b.project, b.name, '/history'), { signal }),
  checkpoints: (b: Branch, signal?: AbortSignal) => list<Checkpoint>(at(b.project, b.name, '/checkpoints'), signal),
  addCheckpoint: (b: Branch, label: string, pinned: boolean) =>
    call<Checkpoint>('POST', at(b.project, b.name, '/checkpoints'), { body: { label, pinned } }),
  pin: (b: Branch, id: string, pinned: boolean) =>
    call<void>('PATCH', at(b.project, b.name, `/checkpoints/${encodeURIComponent(id)}`), { body: { pinned } }),
  forget: (b: Branch, id: string) =>
    call<void>('DELETE', at(b.project, b.name, `/checkpoints/${encodeURIComponent(id)}`)),
  planRestore: (b: Branch, moment: string, signal?: AbortSignal) =>
    call<RestorePlan>('POST', at(b.project, b.name, '/restore/plan'), { body: { at: moment }, signal }),
  restore: (b: Branch, moment: string) =>
    call<Job>('POST', at(b.project, b.name, '/restore'), { body: { at: moment } }),
  look: (b: Branch, moment: string) =>
    call<Job>('POST', at(b.project, b.name, '/restore/preview'), { body: { at: moment } }),
  /** Says that somebody still shows a look; without that it goes after half a minute. */
  keepLook: (project: string, branch: string) => call<void>('POST', at(project, branch, '/keep-look')),
  undo: (b: Branch) => call<Job>('POST', at(b.project, b.name, '/restore/undo')),
}
