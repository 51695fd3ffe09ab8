import { useQuery } from '@tanstack/react-query'
import { Activity } from 'lucide-react'
import { lazy, Suspense, useMemo, useState } from 'react'
import { type MonitoringStep, standing } from '@/api/standing'
import { bytes, count, duration } from '@/lib/format'
import { Select } from '@/ui/field'
import { Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { useBranch } from './branch'
import type { Line } from './chart'

const Chart = lazy(() => import('./chart'))

const spans = [
  { value: '3600', label: 'An hour' },
  { value: '21600', label: '6 hours' },
  { value: '86400', label: '24 hours' },
  { value: '604800', label: '7 days' },
  { value: '1209600', label: '14 days' },
]

type Value = (s: MonitoringStep) => number | null
type Picture = { title: string; text: (n: number) => string; lines: [string, Value][] }

const percent = (n: number) => `${(100 * n).toFixed(0)} %`

const pictures: Picture[] = [
  {
    title: 'Sessions',
    text: count,
    lines: [
      ['connected', (s) => s.max_connections],
      ['waiting for a lock', (s) => s.max_waiting],
      ['running a statement', (s) => s.max_active],
      ['idle in a transaction', (s) => s.max_idle_in_transaction],
    ],
  },
  {
    title: 'Transactions',
    text: count,
    lines: [
      ['committed', (s) => s.commits],
      ['rolled back', (s) => s.rollbacks],
      ['deadlocks', (s) => s.deadlocks],
    ],
  },
  { title: 'Found in the cache', text: percent, lines: [['share of blocks', (s) => s.cache_hit_ratio ?? null]] },
  { title: 'Size of the database', text: bytes, lines: [['size', (s) => s.size_bytes]] },
  { title: 'Temporary files', text: bytes, lines: [['written', (s) => s.temp_bytes]] },
]

/** What a branch's server did, minute by minute while it was awake. Looking wakes nothing. */
export function BranchMonitoring() {
  const branch = useBranch()
  const [span, setSpan] = useState('3600')
  const { data, error } = useQuery({
    queryKey: ['monitoring', branch.id, span],
    queryFn: ({ signal }) => standing.monitoring(branch, Number(span), signal),
    refetchInterval: 60_000,
  })
  return (
    <div className="flex flex-col gap-5">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <p className="text-muted text-sm">Measured once a minute while it is awake, and kept for 14 days.</p>
        <Select aria-label="Which time" value={span} onValueChange={setSpan} options={spans} className="w-36" />
      </div>
      {error && <ErrorNotice error={error} />}
      {!data && !error && <Skeleton className="h-80" />}
      {data?.steps.length === 0 && (
        <Panel>
          <Empty icon={Activity} title="Not awake in this time">
            A sleeping database is not measured. The first measurement comes a minute after it wakes.
          </Empty>
        </Panel>
      )}
      {data && data.steps.length > 0 && (
        <div className="grid gap-4 lg:grid-cols-2">
          {pictures.map((p) => (
            <PicturePanel key={p.title} picture={p} steps={data.steps} />
          ))}
        </div>
      )}
      {data && data.slow_statements.length > 0 && (
        <Panel>
          <PanelHead title="Statements that took most time" about="By whole hours, without their constants." />
          <Table aria-label="Statements that took most time">
            <thead>
              <tr>
                <Th>Statement</Th>
                <Th className="text-right">Calls</Th>
                <Th className="text-right">In all</Th>
                <Th className="text-right">Each</Th>
              </tr>
            </thead>
            <tbody>
              {data.slow_statements.map((s) => (
                <Tr key={s.sql}>
                  <Td className="max-w-xl truncate font-mono text-xs" title={s.sql}>
                    {s.sql}
                  </Td>
                  <Td className="text-right">{count(s.calls)}</Td>
                  <Td className="whitespace-nowrap text-right">{duration(s.total_ms / 1000)}</Td>
                  <Td className="whitespace-nowrap text-right">{s.average_ms.toFixed(1)} ms</Td>
                </Tr>
              ))}
            </tbody>
          </Table>
        </Panel>
      )}
    </div>
  )
}

function PicturePanel({ picture, steps }: { picture: Picture; steps: MonitoringStep[] }) {
  const times = useMemo(() => steps.map((s) => new Date(s.at).getTime() / 1000), [steps])
  const lines = useMemo<Line[]>(
    () => picture.lines.map(([name, value]) => ({ name, values: steps.map(value) })),
    [picture, steps],
  )
  const last = steps.at(-1)
  const now = last && picture.lines[0]?.[1](last)
  return (
    <Panel className="min-w-0">
      <PanelHead title={picture.title} about={now == null ? undefined : `${picture.text(now)} at last`} />
      <div className="p-4">
        <Suspense fallback={<Skeleton className="h-60" />}>
          <Chart label={`${picture.title} over time`} times={times} lines={lines} text={picture.text} />
        </Suspense>
      </div>
    </Panel>
  )
}
