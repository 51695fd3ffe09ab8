import { describe, expect, it } from 'vitest'
import type { UsageRow } from '@/api/usage'
import { amount, priceUnit, seriesOf, totalsOf, written } from './usage'

const row = (from: string, branch: string, written: number) =>
  ({
    from,
    to: from,
    project: 'shop',
    branch,
    cost: 1,
    metrics: { written_data_bytes: written },
  }) as unknown as UsageRow
const rows = [
  row('2026-11-20T00:00:00Z', 'development', 10),
  row('2026-11-21T00:00:00Z', 'development', 30),
  row('2026-11-21T00:00:00Z', 'production', 500),
  row('2026-11-21T00:00:00Z', 'try', 1),
]

describe('what was used', () => {
  it('is a line for each branch, with nothing where it was not there', () =>
    expect(seriesOf(rows, 'written_data_bytes')).toEqual({
      times: [1795132800, 1795219200],
      series: [
        { name: 'shop/production', values: [0, 500] },
        { name: 'shop/development', values: [10, 30] },
        { name: 'shop/try', values: [0, 1] },
      ],
    }))
  it('puts those that used little together', () =>
    expect(seriesOf(rows, 'written_data_bytes', 1).series[1]).toEqual({ name: '2 others', values: [10, 31] }))
  it('adds up', () =>
    expect(totalsOf(rows, 'written_data_bytes').map((t) => [t.name, t.metrics.written_data_bytes, t.cost])).toEqual([
      ['shop/production', 500, 1],
      ['shop/development', 40, 2],
      ['shop/try', 1, 1],
    ]))
  it.each([
    ['active_time_seconds', 7260, '2 h 1 min'],
    ['written_data_bytes', 1500, '1.5 kB'],
    ['branches_month', 0.5, '0.50'],
    ['cost', 3.456, '3.46 EUR'],
  ])('%s %d is %s', (metric, value, text) => expect(amount(metric, value, 'EUR')).toBe(text))
})

describe('a price', () => {
  it('is for what the server says', () =>
    expect(
      [
        'compute_unit_seconds',
        'active_time_seconds',
        'extra_branches_month',
        'root_branch_bytes_month',
        'received_bytes',
      ].map(priceUnit),
    ).toEqual(['compute unit hour', 'hour', 'branch month', 'GB month', 'GB']))
  it('is a number with a point or a comma, and nothing else', () =>
    expect(['0.16', ' 0,16 ', '0', '', '-1', '1.2.3', 'free'].map(written)).toEqual([
      0.16,
      0.16,
      0,
      Number.NaN,
      Number.NaN,
      Number.NaN,
      Number.NaN,
    ]))
})
