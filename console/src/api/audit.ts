import { call, list } from './client'
import type { components } from './schema'
import type { AuditEntry } from './types'

export type AuditVerified = components['schemas']['AuditVerified']

/** Which entries are wanted; texts are found anywhere in the field. What is empty is not asked for. */
export type AuditFilter = {
  actor: string
  action: string
  subject: string
  source: string
  /** As the browser's field for a moment gives it, in the reader's zone. */
  since: string
  until: string
}

export const everything: AuditFilter = { actor: '', action: '', subject: '', source: '', since: '', until: '' }

/** The part of an address that asks for the wanted entries. */
export function auditQuery(filter: AuditFilter, before: number, limit: number): string {
  const query = new URLSearchParams({ limit: String(limit) })
  if (before > 0) query.set('before', String(before))
  for (const [name, value] of Object.entries(filter)) {
    const text = value.trim()
    if (text === '') continue
    if (name !== 'since' && name !== 'until') query.set(name, text)
    else if (!Number.isNaN(Date.parse(text))) query.set(name, new Date(text).toISOString())
  }
  return query.toString()
}

export const audit = {
  page: (filter: AuditFilter, before: number, limit: number, signal?: AbortSignal) =>
    list<AuditEntry>(`/audit?${auditQuery(filter, before, limit)}`, signal),
  verify: () => call<AuditVerified>('GET', '/audit/verify'),
  /** Every entry, the oldest first. */
  whole: async (): Promise<AuditEntry[]> => {
    const out: AuditEntry[] = []
    for (;;) {
      const page = await list<AuditEntry>(`/audit/export?limit=${exportPage}&after=${out.at(-1)?.seq ?? 0}`)
      out.push(...page)
      if (page.length < exportPage) return out
    }
  },
  /** Every wanted entry, the newest first. */
  wanted: async (filter: AuditFilter): Promise<AuditEntry[]> => {
    const out: AuditEntry[] = []
    for (;;) {
      const page = await audit.page(filter, out.at(-1)?.seq ?? 0, exportPage)
      out.push(...page)
      if (page.length < exportPage) return out
    }
  },
}

const exportPage = 1000
