import type { PlanStatement, Publish, PublishEvent, PublishReport } from '@/api/publish'
import { duration } from './format'

/** Says whether a job works on it. */
export function inMotion(p: Pick<Publish, 'state'>): boolean {
  return p.state === 'rehearsing' || p.state === 'applying'
}

/** Says whether it has changed nothing yet and can be planned anew or given up. */
export function isOpen(p: Pick<Publish, 'state'>): boolean {
  return ['draft', 'planned', 'needs answer', 'blocked', 'rehearsing', 'ready'].includes(p.state)
}

/** A time of the API in milliseconds, as people read it. */
export function milliseconds(ms: number): string {
  if (ms < 10) return `${Math.round(ms * 10) / 10} ms`
  return ms < 1000 ? `${Math.round(ms)} ms` : duration(ms / 1000)
}

/** The consents that stand between a rehearsed publish and production, each with its reasons. */
export function consentsOf(report: Pick<PublishReport, 'reasons'> | undefined): { allow: string; reasons: string[] }[] {
  const out: { allow: string; reasons: string[] }[] = []
  for (const reason of report?.reasons ?? []) {
    if (!reason.allow) continue
    const known = out.find((c) => c.allow === reason.allow)
    if (known) known.reasons.push(reason.text)
    else out.push({ allow: reason.allow, reasons: [reason.text] })
  }
  return out
}

/** Statements that commit together, in order; number counts from 1 through the whole plan. */
export type Step = { number: number; statement: PlanStatement }
export type Transaction = { together: boolean; steps: Step[] }

export function transactionsOf(statements: readonly PlanStatement[]): Transaction[] {
  const out: Transaction[] = []
  let group: number | null = null
  statements.forEach((statement, i) => {
    const step = { number: i + 1, statement }
    const last = out.at(-1)
    if (last && statement.transactional && group === statement.group) last.steps.push(step)
    else out.push({ together: statement.transactional, steps: [step] })
    group = statement.transactional ? statement.group : null
  })
  return out
}

/** An answer in words, as far as its verb is known. */
export function answerText(answer: string): string {
  const [, verb, subject, value] = /^(\w+):([^=]*)(?:=([\s\S]*))?$/.exec(answer) ?? []
  const name = subject?.split('.').at(-1) ?? answer
  if (verb === 'rename') return `${name} is now called ${value}`
  if (verb === 'drop') return `${name} is dropped`
  if (verb === 'keep') return `${name} stays`
  if (verb === 'using') return `${name} is converted with ${value}`
  if (verb === 'fill') return `${name} is filled with ${value}`
  return answer
}

/** How a statement went in production, beside what it took in the rehearsal. Times are in milliseconds. */
export type Run = {
  statement: number
  state: 'running' | 'waiting' | 'done' | 'taken back'
  took: number | null
  predicted: number | null
  waited: number
}

/** Reads out of the log how far each statement is in production. */
export function runsOf(events: readonly PublishEvent[]): Map<number, Run> {
  const out = new Map<number, Run>()
  for (const e of events) {
    if (e.phase !== 'apply' || e.statement < 1) continue
    const run = out.get(e.statement) ?? {
      statement: e.statement,
      state: 'running',
      took: null,
      predicted: null,
      waited: 0,
    }
    if (e.predicted) run.predicted = e.predicted
    if (e.direction === 'back') run.state = 'taken back'
    else if (e.kind === 'started') run.state = 'running'
    else if (e.kind === 'retry' || e.kind === 'blocked') run.state = 'waiting'
    else if (e.kind === 'done') {
      run.state = 'done'
      run.took = e.measure?.time ?? 0
      run.waited = e.measure?.waited ?? 0
    }
    out.set(e.statement, run)
  }
  return out
}
