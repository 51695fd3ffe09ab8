import { at, call } from './client'
import { Problem } from './problem'
import type { components } from './schema'
import { type Branch, isFinal, type Job } from './types'

export type SQLAnswer = components['schemas']['SQLAnswer']
export type SQLResult = components['schemas']['SQLResult']
export type SQLMessage = components['schemas']['SQLMessage']
export type SQLColumn = components['schemas']['SQLColumn']
/** Values are PostgreSQL's own text: no number and no moment is ever changed on its way. */
export type Row = (string | null)[]

/** The rows of a result; none for a statement without one. */
export function rowsOf(result: SQLResult | undefined): Row[] {
  return (result?.rows ?? []) as Row[]
}

export type Where = { project: string; branch: string }
export type Query = {
  sql: string
  id?: string
  write?: boolean
  max_rows?: number
  timeout_seconds?: number
}

export function runSQL(where: Where, query: Query, signal?: AbortSignal): Promise<SQLAnswer> {
  return call<SQLAnswer>('POST', at(where.project, where.branch, '/sql'), { body: query, signal })
}

export function cancelSQL(where: Where, id: string): Promise<void> {
  return call<void>('DELETE', at(where.project, where.branch, `/sql/${encodeURIComponent(id)}`))
}

/** What PostgreSQL said of a statement, as an error that a person can read. */
export function refusal(m: SQLMessage): Problem {
  return new Problem({
    code: m.code === '40001' ? 'conflict' : 'invalid',
    detail: m.message,
    hint: [m.detail, m.hint].filter(Boolean).join(' — '),
  })
}

/** Runs statements of the console's own and fails when PostgreSQL refuses one. Answers with the results. */
export async function ask(where: Where, query: Query, signal?: AbortSignal): Promise<SQLResult[]> {
  const answer = await runSQL(where, query, signal)
  if (answer.error) throw refusal(answer.error)
  return answer.results
}

/** A name for a query by which it can be canceled. */
export function newQueryID(): string {
  const random = crypto.getRandomValues(new Uint8Array(12))
  return `console_${Array.from(random, (n) => n.toString(16).padStart(2, '0')).join('')}`
}

/** Makes a read-only copy of a moment and answers with its name when it can be read. */
export async function lookAt(where: Where, moment: string, signal: AbortSignal): Promise<string> {
  let job = await call<Job>('POST', at(where.project, where.branch, '/restore/preview'), {
    body: { at: moment },
    signal,
  })
  while (!isFinal(job)) {
    await new Promise((resolve) => setTimeout(resolve, 300))
    job = await call<Job>('GET', `/jobs/${encodeURIComponent(job.id)}`, { signal })
  }
  if (job.state !== 'succeeded')
    throw new Problem({ code: 'internal', detail: job.error || 'the moment was not prepared' })
  return branchOf(job)
}

/** The branch that a job made. */
export function branchOf(job: Job): string {
  const result = job.result as (Partial<Branch> & { branch?: string }) | undefined
  const name = result?.branch ?? result?.name ?? job.subject.split('/')[1]
  if (!name) throw new Problem({ code: 'internal', detail: 'the job does not say which branch it made' })
  return name.includes('/') ? (name.split('/')[1] ?? name) : name
}
