import { call, list, send } from './client'
import type { components } from './schema'

type Schemas = components['schemas']
export type UsageReport = Schemas['UsageReport']
export type UsageRow = Schemas['UsageRow']
export type UsageBudget = Schemas['UsageBudget']
export type UsagePrices = Schemas['UsagePrices']
export type UsageMetrics = Schemas['UsageMetrics']
export type Metric = keyof UsageMetrics

export type UsageAsk = { from?: string; by: 'hour' | 'day' | 'month'; per?: 'project' | 'branch' }

const of = (project: string | undefined, rest: string) =>
  project === undefined ? `/usage${rest}` : `/projects/${encodeURIComponent(project)}/usage${rest}`
const budgets = (project: string | undefined, rest = '') =>
  project === undefined ? `/usage/budgets${rest}` : `/projects/${encodeURIComponent(project)}/budgets${rest}`

function query(ask: UsageAsk): string {
  return `?${new URLSearchParams(Object.entries(ask).filter(([, value]) => value !== undefined))}`
}

/** What was used, what it costs, and what bounds it. Without a project it is all that one sees. */
export const usage = {
  report: (project: string | undefined, ask: UsageAsk, signal?: AbortSignal) =>
    call<UsageReport>('GET', of(project, query(ask)), { signal }),
  /** The rows of a report as a file. The token goes in a header, never in the address. */
  csv: async (project: string | undefined, ask: UsageAsk): Promise<Blob> =>
    (await send('GET', of(project, `/csv${query(ask)}`), { accept: 'text/csv' })).blob(),
  prices: (signal?: AbortSignal) => call<UsagePrices>('GET', '/usage/prices', { signal }),
  setPrices: (prices: UsagePrices) => call<void>('PUT', '/usage/prices', { body: prices }),
  budgets: (project: string | undefined, signal?: AbortSignal) => list<UsageBudget>(budgets(project), signal),
  setBudget: (project: string | undefined, name: string, b: UsageBudget) =>
    call<void>('PUT', budgets(project, `/${encodeURIComponent(name)}`), { body: b }),
  removeBudget: (project: string | undefined, name: string) =>
    call<void>('DELETE', budgets(project, `/${encodeURIComponent(name)}`)),
}
