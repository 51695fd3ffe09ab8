import { queryOptions } from '@tanstack/react-query'
import { inMotion } from '@/lib/publish'
import { call, list } from './client'
import type { components } from './schema'
import type { Job } from './types'

type Schemas = components['schemas']
export type Publish = Schemas['Publish']
export type PublishPlan = Schemas['Plan']
export type PlanStatement = Schemas['PlanStatement']
export type PlanQuestion = Schemas['PlanQuestion']
export type PlanDrift = Schemas['PlanDrift']
export type PublishReport = Schemas['Report']
export type PublishEvent = Schemas['PublishEvent']
export type NewPublish = Schemas['NewPublish']
export type PublishHooks = Schemas['PublishHooks']

const of = (project: string, rest: string) => `/projects/${encodeURIComponent(project)}${rest}`
const one = (p: Publish, rest = '') => of(p.project, `/publishes/${p.number}${rest}`)

export const publishes = {
  list: (project: string, signal?: AbortSignal) => list<Publish>(of(project, '/publishes'), signal),
  get: (project: string, number: number, signal?: AbortSignal) =>
    call<Publish>('GET', of(project, `/publishes/${number}`), { signal }),
  plan: (project: string, ask: NewPublish) => call<Publish>('POST', of(project, '/publishes'), { body: ask }),
  rehearse: (p: Publish, keep: boolean) => call<Job>('POST', one(p, '/rehearse'), { body: { keep } }),
  apply: (p: Publish, allow: string[]) => call<Job>('POST', one(p, '/apply'), { body: { allow } }),
  /** Plans the way back of the publish with this number. */
  revert: (project: string, number: number, answers: string[]) =>
    call<Publish>('POST', of(project, `/publishes/${number}/revert`), { body: { answers } }),
  contract: (p: Publish) => call<Publish>('POST', one(p, '/contract')),
  cancel: (p: Publish) => call<Publish>('POST', one(p, '/cancel')),
  log: (p: Publish, signal?: AbortSignal) => list<PublishEvent>(one(p, '/log'), signal),
  adopt: (project: string, objects: string[]) =>
    call<Job>('POST', of(project, '/publish-adopt'), { body: { objects } }),
  hooks: (project: string, signal?: AbortSignal) =>
    call<PublishHooks>('GET', of(project, '/publish-hooks'), { signal }),
  setHooks: (project: string, hooks: PublishHooks) => call<void>('PUT', of(project, '/publish-hooks'), { body: hooks }),
}

/** Planning the same publish again, with further answers: it goes where the publish came from. */
export function replan(p: Publish, answers: string[]): Promise<Publish> {
  if (p.kind === 'revert') return publishes.revert(p.project, p.reverts ?? 0, answers)
  if (p.kind === 'contract') return publishes.contract(p)
  return publishes.plan(p.project, {
    answers,
    maintenance: p.maintenance,
    zero_downtime: p.kind === 'expand',
    allow_lossy: p.allowed.includes('lossy'),
  })
}

const second = 1000

export const publishQueries = {
  list: (project: string) =>
    queryOptions({
      queryKey: ['publishes', project],
      queryFn: ({ signal }) => publishes.list(project, signal),
      refetchInterval: 5 * second,
    }),
  one: (project: string, number: number) =>
    queryOptions({
      queryKey: ['publish', project, number],
      queryFn: ({ signal }) => publishes.get(project, number, signal),
      refetchInterval: (query) => (query.state.data && inMotion(query.state.data) ? 1 : 5) * second,
    }),
  log: (p: Publish) =>
    queryOptions({
      queryKey: ['publish-log', p.project, p.number],
      queryFn: ({ signal }) => publishes.log(p, signal),
      // Once it has ended, one more look shows the last lines.
      refetchInterval: inMotion(p) ? second : 10 * second,
    }),
}
