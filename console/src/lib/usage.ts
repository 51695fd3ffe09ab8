import type { Metric, UsageMetrics, UsageRow } from '@/api/usage'
import { bytes, count, duration } from './format'

type Kind = 'seconds' | 'bytes' | 'number'

/** The metrics that people look at first, in order, with what they are called and counted in. */
export const metrics: { name: Metric; label: string; kind: Kind }[] = [
  { name: 'active_time_seconds', label: 'Awake', kind: 'seconds' },
  { name: 'compute_unit_seconds', label: 'Compute (units × time)', kind: 'seconds' },
  { name: 'root_branch_bytes_month', label: 'Data (month)', kind: 'bytes' },
  { name: 'child_branch_bytes_month', label: 'Data of copies (month)', kind: 'bytes' },
  { name: 'instant_restore_bytes_month', label: 'History (month)', kind: 'bytes' },
  { name: 'snapshot_storage_bytes_month', label: 'Backups (month)', kind: 'bytes' },
  { name: 'written_data_bytes', label: 'Written', kind: 'bytes' },
  { name: 'public_network_transfer_bytes', label: 'Sent to clients', kind: 'bytes' },
  { name: 'received_bytes', label: 'Received from clients', kind: 'bytes' },
  { name: 'branches_month', label: 'Branches (month)', kind: 'number' },
]

export const labelOf = (metric: string): string =>
  metric === 'cost' ? 'Cost' : (metrics.find((m) => m.name === metric)?.label ?? metric)

/** What a price of a metric is for. */
export function priceUnit(metric: string): string {
  if (metric === 'compute_unit_seconds') return 'compute unit hour'
  if (metric === 'active_time_seconds') return 'hour'
  if (metric === 'branches_month' || metric === 'extra_branches_month') return 'branch month'
  return metric.endsWith('_bytes_month') ? 'GB month' : 'GB'
}

/** A number as a person writes it; not a number where it is none, or negative. */
export function written(text: string): number {
  const value = Number(text.trim().replace(',', '.'))
  return text.trim() === '' || value < 0 ? Number.NaN : value
}

/** An amount of a metric as people read it. */
export function amount(metric: string, value: number, currency = ''): string {
  if (metric === 'cost') return money(value, currency)
  const kind = metrics.find((m) => m.name === metric)?.kind ?? 'number'
  if (kind === 'seconds') return duration(value)
  if (kind === 'bytes') return bytes(value)
  return value >= 100 ? count(value) : value.toFixed(2)
}

export function money(value: number, currency: string): string {
  return `${value.toFixed(2)}${currency ? ` ${currency}` : ''}`
}

export type Series = { name: string; values: (number | null)[] }

/** Rows of a report as lines over time: one for each branch or project, those that used most first, the rest together. */
export function seriesOf(rows: UsageRow[], metric: Metric, most = 6): { times: number[]; series: Series[] } {
  const times = [...new Set(rows.map((r) => r.from))].sort()
  const place = new Map(times.map((t, i) => [t, i]))
  const found = new Map<string, number[]>()
  for (const r of rows) {
    const name = [r.project, r.branch].filter(Boolean).join('/') || 'all'
    const values = found.get(name) ?? times.map(() => 0)
    values[place.get(r.from) as number] = r.metrics[metric]
    found.set(name, values)
  }
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0)
  const sorted = [...found].map(([name, values]) => ({ name, values })).sort((a, b) => sum(b.values) - sum(a.values))
  const series: Series[] = sorted.slice(0, most)
  const rest = sorted.slice(most)
  if (rest.length > 0)
    series.push({ name: `${rest.length} others`, values: times.map((_, i) => sum(rest.map((r) => r.values[i] ?? 0))) })
  return { times: times.map((t) => new Date(t).getTime() / 1000), series }
}

/** What each branch or project used within the rows, those that used most first. */
export function totalsOf(rows: UsageRow[], metric: Metric): { name: string; metrics: UsageMetrics; cost: number }[] {
  const found = new Map<string, { name: string; metrics: UsageMetrics; cost: number }>()
  for (const r of rows) {
    const name = [r.project, r.branch].filter(Boolean).join('/') || 'all'
    const one = found.get(name)
    if (!one) {
      found.set(name, { name, metrics: { ...r.metrics }, cost: r.cost })
      continue
    }
    one.cost += r.cost
    for (const key of Object.keys(r.metrics) as Metric[]) one.metrics[key] += r.metrics[key]
  }
  return [...found.values()].sort((a, b) => b.metrics[metric] - a.metrics[metric])
}
