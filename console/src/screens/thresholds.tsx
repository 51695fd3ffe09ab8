import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { type AlertSettings, standing } from '@/api/standing'
import { bytes, duration } from '@/lib/format'
import { written } from '@/lib/usage'
import { Button } from '@/ui/button'
import { Field, Input } from '@/ui/field'
import { ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { FormDialog } from './branch-dialogs'

type Threshold = {
  name: keyof AlertSettings
  label: string
  /** What a person writes, and how much of what the server counts in that is. */
  unit: string
  factor: number
  hint?: string
  text: (value: number) => string
}

const orNever = (value: number) => (value === 0 ? 'never' : duration(value))
const orNone = (value: number) => (value === 0 ? 'no bound' : bytes(value))

const thresholds: Threshold[] = [
  { name: 'backup_age_seconds', label: 'Production without a backup', unit: 'days', factor: 86_400, text: duration },
  {
    name: 'verify_age_seconds',
    label: 'Production without a proved backup',
    unit: 'days',
    factor: 86_400,
    text: duration,
  },
  { name: 'wal_lag_seconds', label: 'History that is late', unit: 'seconds', factor: 1, text: duration },
  { name: 'slot_bytes', label: 'History kept by a slot', unit: 'GB', factor: 1e9, text: bytes },
  { name: 'disk_free_percent', label: 'Free on the disk, at least', unit: 'percent', factor: 1, text: (n) => `${n} %` },
  {
    name: 'disk_budget_bytes',
    label: 'All databases together',
    unit: 'GB',
    factor: 1e9,
    hint: '0: no bound',
    text: orNone,
  },
  { name: 'long_transaction_seconds', label: 'An open transaction', unit: 'minutes', factor: 60, text: duration },
  { name: 'lock_wait_seconds', label: 'A wait for a lock', unit: 'seconds', factor: 1, text: duration },
  {
    name: 'certificate_ends_seconds',
    label: 'Before a certificate ends',
    unit: 'days',
    factor: 86_400,
    text: duration,
  },
  {
    name: 'remind_after_seconds',
    label: 'Told again after',
    unit: 'hours',
    factor: 3600,
    hint: '0: never',
    text: orNever,
  },
]

/** From when on something is an alert. */
export function Thresholds() {
  const client = useQueryClient()
  const key = ['thresholds']
  const { data, error } = useQuery({ queryKey: key, queryFn: ({ signal }) => standing.thresholds(signal) })
  const [changing, setChanging] = useState(false)
  return (
    <Panel>
      <PanelHead title="Thresholds" about="From when on it is an alert, in every project.">
        {data && <Button onClick={() => setChanging(true)}>Change the thresholds</Button>}
      </PanelHead>
      {error && <ErrorNotice error={error} className="m-3" />}
      {!data && !error && <Skeleton className="m-4 h-24" />}
      {data && (
        <dl className="grid gap-x-8 px-4 py-2 sm:grid-cols-2">
          {thresholds.map((t) => (
            <div key={t.name} className="flex items-center justify-between gap-4 py-1.5 text-sm">
              <dt className="text-muted">{t.label}</dt>
              <dd className="whitespace-nowrap font-medium">{t.text(data[t.name] as number)}</dd>
            </div>
          ))}
        </dl>
      )}
      {data && changing && (
        <ThresholdsDialog
          settings={data}
          onClose={() => setChanging(false)}
          onSaved={() => {
            setChanging(false)
            client.invalidateQueries({ queryKey: key })
          }}
        />
      )}
    </Panel>
  )
}

type DialogProps = { settings: AlertSettings; onClose: () => void; onSaved: () => void }

function ThresholdsDialog({ settings, onClose, onSaved }: DialogProps) {
  // Only what was touched is counted anew: the rest stays to the second and the byte.
  const [texts, setTexts] = useState<Partial<Record<keyof AlertSettings, string>>>({})
  const textOf = (t: Threshold) =>
    texts[t.name] ?? String(Math.round(((settings[t.name] as number) / t.factor) * 1000) / 1000)
  const wrong = thresholds.some((t) => Number.isNaN(written(textOf(t))))
  return (
    <FormDialog
      title="Change the thresholds"
      action="Save"
      ready={!wrong}
      onClose={onClose}
      onSubmit={async () => {
        const touched = thresholds.filter((t) => texts[t.name] !== undefined)
        const changes = touched.map((t) => [t.name, Math.round(written(textOf(t)) * t.factor)])
        await standing.setThresholds({ ...settings, ...Object.fromEntries(changes) })
        onSaved()
      }}
    >
      <div className="grid gap-4 sm:grid-cols-2">
        {thresholds.map((t, i) => (
          <Field
            key={t.name}
            label={t.label}
            hint={`In ${t.unit}${t.hint ? `; ${t.hint}` : ''}.`}
            error={Number.isNaN(written(textOf(t))) && 'A number.'}
          >
            {(ids) => (
              <Input
                {...ids}
                autoFocus={i === 0}
                inputMode="decimal"
                value={textOf(t)}
                onChange={(e) => setTexts({ ...texts, [t.name]: e.target.value })}
              />
            )}
          </Field>
        ))}
      </div>
    </FormDialog>
  )
}
