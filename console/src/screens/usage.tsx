import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { Download, Gauge, Plus, Trash2 } from 'lucide-react'
import { lazy, Suspense, useMemo, useState } from 'react'
import { queries } from '@/api/queries'
import { type Metric, type UsageAsk, type UsageBudget, type UsageReport, usage } from '@/api/usage'
import { moment } from '@/lib/format'
import { useRights } from '@/lib/rights'
import { amount, labelOf, metrics, money, seriesOf, totalsOf } from '@/lib/usage'
import { Button } from '@/ui/button'
import { Checkbox, Field, Input, Select } from '@/ui/field'
import { Badge, Empty, ErrorNotice, Panel, PanelHead, Progress, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { Fact } from './branch-card'
import { FormDialog } from './branch-dialogs'
import { PageHead } from './page'
import { Prices } from './prices'

const Chart = lazy(() => import('./chart'))

const times = [
  { value: 'period', label: 'Billing period' },
  { value: '1', label: '24 hours' },
  { value: '7', label: '7 days' },
  { value: '31', label: '31 days' },
  { value: '365', label: 'A year' },
]

function askFor(time: string, per: 'project' | 'branch'): UsageAsk {
  if (time === 'period') return { by: 'day', per }
  const from = new Date(Date.now() - Number(time) * 86_400_000).toISOString()
  return { from, by: time === '1' ? 'hour' : time === '365' ? 'month' : 'day', per }
}

/** What a project used. */
export function ProjectUsage() {
  const { project } = useParams({ from: '/inside/projects/$project/usage' })
  const rights = useRights(project)
  return <Usage key={project} project={project} may={rights.admin && !rights.agent} />
}

/** What was used in all projects that one sees. */
export function InstallationUsage() {
  const you = useQuery(queries.server()).data?.you
  return <Usage may={you?.admin === true} />
}

function Usage({ project, may }: { project?: string; may: boolean }) {
  const [time, setTime] = useState('period')
  const [metric, setMetric] = useState<Metric>('active_time_seconds')
  const per = project === undefined ? 'project' : 'branch'
  const { data, error } = useQuery({
    queryKey: ['usage', project ?? '', time],
    queryFn: ({ signal }) => usage.report(project, askFor(time, per), signal),
    refetchInterval: 30_000,
  })
  const csv = useMutation({
    mutationFn: async () => {
      const url = URL.createObjectURL(await usage.csv(project, askFor(time, per)))
      const link = document.createElement('a')
      link.href = url
      link.download = `usage-${project ?? 'all'}.csv`
      link.click()
      setTimeout(() => URL.revokeObjectURL(url), 60_000)
    },
  })
  return (
    <>
      <PageHead
        name={project === undefined ? 'Usage' : `Usage · ${project}`}
        title="Usage"
        about="What was used and what it costs. At most half a minute old; asking wakes no database."
      >
        <Select aria-label="Which time" value={time} onValueChange={setTime} options={times} className="w-36" />
        <Button onClick={() => csv.mutate()} busy={csv.isPending}>
          <Download /> CSV
        </Button>
      </PageHead>
      {(error ?? csv.error) && <ErrorNotice error={error ?? csv.error} className="mb-4" />}
      {!data && !error && <Skeleton className="h-80" />}
      {data && (
        <div className="flex flex-col gap-5">
          <Period report={data} />
          <Over report={data} metric={metric} onMetric={setMetric} />
          <Totals report={data} metric={metric} />
          <Budgets project={project} may={may} />
          {project === undefined && may && <Prices />}
        </div>
      )}
    </>
  )
}

/** The billing period of now: so far, and at its end when it goes on like this. */
function Period({ report }: { report: UsageReport }) {
  const { period, currency } = report
  return (
    <Panel data-testid="period">
      <PanelHead
        title="This billing period"
        about={`${moment(new Date(period.from)).slice(0, 10)} to ${moment(new Date(period.to)).slice(0, 10)}`}
      />
      <dl className="grid grid-cols-2 gap-3 p-4 sm:grid-cols-4">
        <Fact name="Cost so far">{currency ? money(period.used.cost, currency) : 'no prices are set'}</Fact>
        <Fact name="Forecast">{currency ? money(period.forecast.cost, currency) : '–'}</Fact>
        <Fact name="Awake so far">{amount('active_time_seconds', period.used.metrics.active_time_seconds)}</Fact>
        <Fact name="Awake, forecast">{amount('active_time_seconds', period.forecast.metrics.active_time_seconds)}</Fact>
      </dl>
      {period.used.lines.length > 0 && (
        <Table aria-label="What it costs">
          <thead>
            <tr>
              <Th>What</Th>
              <Th className="text-right">Quantity</Th>
              <Th className="text-right">Price</Th>
              <Th className="text-right">Cost</Th>
              <Th className="text-right">Forecast</Th>
            </tr>
          </thead>
          <tbody>
            {period.used.lines.map((line) => (
              <Tr key={line.metric}>
                <Td>{labelOf(line.metric)}</Td>
                <Td className="whitespace-nowrap text-right">
                  {line.quantity.toFixed(3)} {line.unit}
                </Td>
                <Td className="text-right">{money(line.price, currency ?? '')}</Td>
                <Td className="text-right">{money(line.cost, currency ?? '')}</Td>
                <Td className="text-right text-muted">
                  {money(period.forecast.lines.find((f) => f.metric === line.metric)?.cost ?? 0, currency ?? '')}
                </Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
    </Panel>
  )
}

type OverProps = { report: UsageReport; metric: Metric; onMetric: (m: Metric) => void }

function Over({ report, metric, onMetric }: OverProps) {
  const { times: at, series } = useMemo(() => seriesOf(report.rows, metric), [report.rows, metric])
  const text = useMemo(() => (value: number) => amount(metric, value), [metric])
  return (
    <Panel>
      <PanelHead title="Over time" about={`By the ${report.by}.`}>
        <Select
          aria-label="Which metric"
          value={metric}
          onValueChange={(m) => onMetric(m as Metric)}
          options={metrics.map((m) => ({ value: m.name, label: m.label }))}
          className="w-56"
        />
      </PanelHead>
      <div className="p-4">
        {at.length === 0 ? (
          <Empty icon={Gauge} title="Nothing was used in this time" />
        ) : (
          <Suspense fallback={<Skeleton className="h-60" />}>
            <Chart label={`${labelOf(metric)} over time`} times={at} lines={series} text={text} bars />
          </Suspense>
        )}
      </div>
    </Panel>
  )
}

function Totals({ report, metric }: { report: UsageReport; metric: Metric }) {
  const rows = totalsOf(report.rows, metric)
  const shown = metrics.filter((m) => m.name !== 'branches_month')
  if (rows.length === 0) return null
  return (
    <Panel>
      <PanelHead title="In sum" />
      <Table aria-label="Usage in sum">
        <thead>
          <tr>
            <Th>Where</Th>
            {shown.map((m) => (
              <Th key={m.name} className="text-right">
                {m.label}
              </Th>
            ))}
            {report.currency && <Th className="text-right">Cost</Th>}
          </tr>
        </thead>
        <tbody>
          {rows.map((r) => (
            <Tr key={r.name}>
              <Td className="font-medium">{r.name}</Td>
              {shown.map((m) => (
                <Td key={m.name} className="whitespace-nowrap text-right">
                  {amount(m.name, r.metrics[m.name])}
                </Td>
              ))}
              {report.currency && <Td className="whitespace-nowrap text-right">{money(r.cost, report.currency)}</Td>}
            </Tr>
          ))}
        </tbody>
      </Table>
    </Panel>
  )
}

const states: Record<string, { tone: 'plain' | 'warn' | 'production'; text: string }> = {
  ok: { tone: 'plain', text: 'ok' },
  near: { tone: 'warn', text: 'near its limit' },
  used_up: { tone: 'production', text: 'used up' },
}

function Budgets({ project, may }: { project?: string; may: boolean }) {
  const client = useQueryClient()
  const key = ['budgets', project ?? '']
  const { data, error } = useQuery({ queryKey: key, queryFn: ({ signal }) => usage.budgets(project, signal) })
  const [adding, setAdding] = useState(false)
  const again = () => client.invalidateQueries({ queryKey: key })
  const remove = useMutation({
    mutationFn: (b: UsageBudget) => usage.removeBudget(b.project || undefined, b.name ?? ''),
    onSuccess: again,
  })
  return (
    <Panel>
      <PanelHead title="Budgets" about="A soft one says when it is used up. A hard one puts the databases to sleep.">
        {may && (
          <Button onClick={() => setAdding(true)}>
            <Plus /> Add a budget
          </Button>
        )}
      </PanelHead>
      {(error ?? remove.error) && <ErrorNotice error={error ?? remove.error} className="m-3" />}
      {data?.length === 0 && (
        <Empty icon={Gauge} title="No budget">
          Bound what may be used in a billing period, of one metric or of the cost.
        </Empty>
      )}
      {data && data.length > 0 && (
        <Table aria-label="Budgets">
          <thead>
            <tr>
              <Th>Budget</Th>
              <Th>Of</Th>
              <Th className="min-w-40">Used</Th>
              <Th>State</Th>
              <Th>
                <span className="sr-only">Actions</span>
              </Th>
            </tr>
          </thead>
          <tbody>
            {data.map((b) => {
              const state = states[b.state ?? 'ok'] ?? { tone: 'plain' as const, text: b.state ?? '' }
              return (
                <Tr key={`${b.project ?? ''} ${b.name}`}>
                  <Td>
                    <span className="font-medium">{b.name}</span>
                    {b.hard && (
                      <Badge tone={b.production ? 'production' : 'warn'} className="ml-2">
                        {b.production ? 'hard, production too' : 'hard'}
                      </Badge>
                    )}
                  </Td>
                  <Td className="text-muted">
                    {[b.project, b.branch].filter(Boolean).join('/') || 'everything'}: {labelOf(b.metric)}
                  </Td>
                  <Td>
                    <Progress done={b.used ?? 0} total={b.limit} label={`Used of ${b.name}`} />
                    <span className="text-muted text-xs">
                      {amount(b.metric, b.used ?? 0, b.currency)} of {amount(b.metric, b.limit, b.currency)}
                    </span>
                  </Td>
                  <Td>
                    <Badge tone={state.tone}>{state.text}</Badge>
                  </Td>
                  <Td className="text-right">
                    {may && (
                      <Button
                        variant="ghost"
                        size="icon-sm"
                        aria-label={`Remove the budget ${b.name}`}
                        onClick={() => remove.mutate(b)}
                      >
                        <Trash2 />
                      </Button>
                    )}
                  </Td>
                </Tr>
              )
            })}
          </tbody>
        </Table>
      )}
      {adding && (
        <BudgetDialog
          project={project}
          onClose={() => setAdding(false)}
          onAdded={() => {
            setAdding(false)
            again()
          }}
        />
      )}
    </Panel>
  )
}

/** What a person writes for a limit, in the unit of the metric: hours, GB, or the number itself. */
function scaleOf(metric: string): { unit: string; factor: number } {
  const kind = metrics.find((m) => m.name === metric)?.kind
  if (kind === 'seconds') return { unit: 'hours', factor: 3600 }
  if (kind === 'bytes') return { unit: 'GB', factor: 1e9 }
  return { unit: metric === 'cost' ? 'the currency of the prices' : 'number', factor: 1 }
}

function BudgetDialog({ project, onClose, onAdded }: { project?: string; onClose: () => void; onAdded: () => void }) {
  const [name, setName] = useState('')
  const [metric, setMetric] = useState('active_time_seconds')
  const [limit, setLimit] = useState('')
  const [hard, setHard] = useState(false)
  const [production, setProduction] = useState(false)
  const { unit, factor } = scaleOf(metric)
  const value = Number(limit.replace(',', '.'))
  return (
    <FormDialog
      title="Add a budget"
      about="For each billing period. A name that is there already is replaced."
      action="Add"
      ready={name.trim() !== '' && value > 0}
      onClose={onClose}
      onSubmit={async () => {
        await usage.setBudget(project, name.trim(), {
          metric,
          limit: value * factor,
          hard,
          production: hard && production,
        })
        onAdded()
      }}
    >
      <Field label="Name">
        {(ids) => (
          <Input {...ids} autoFocus value={name} onChange={(e) => setName(e.target.value)} placeholder="monthly" />
        )}
      </Field>
      <Field label="Of what">
        {(ids) => (
          <Select
            id={ids.id}
            value={metric}
            onValueChange={setMetric}
            options={[{ value: 'cost', label: 'Cost' }, ...metrics.map((m) => ({ value: m.name, label: m.label }))]}
          />
        )}
      </Field>
      <Field label="At most" hint={`In ${unit}.`}>
        {(ids) => <Input {...ids} inputMode="decimal" value={limit} onChange={(e) => setLimit(e.target.value)} />}
      </Field>
      <Checkbox
        checked={hard}
        onCheckedChange={setHard}
        label="Hard"
        hint="When it is used up the databases sleep, and nothing wakes them until the period ends or the limit is raised."
      />
      {hard && <Checkbox checked={production} onCheckedChange={setProduction} label="Production too" />}
    </FormDialog>
  )
}
