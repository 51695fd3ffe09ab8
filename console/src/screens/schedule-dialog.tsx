import { useState } from 'react'
import { schedules as api, type BranchName, type Schedule } from '@/api/backups'
import { patternsOf } from '@/lib/patterns'
import { Field, Input, Select } from '@/ui/field'
import { formats } from './backup-frame'
import { FormDialog } from './branch-dialogs'

export const works: Record<Schedule['work'], { short: string; label: string }> = {
  backup: { short: 'Backup', label: 'Make a backup' },
  checkpoint: { short: 'Checkpoint', label: 'Name the moment in the history' },
  drill: { short: 'Drill', label: 'Prove that the newest backup restores' },
}

const days = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']
const rules = [
  { value: 'hourly at :00', label: 'Every hour' },
  { value: 'daily at 03:30', label: 'Every day at 03:30' },
  ...days.map((d) => ({ value: `weekly on ${d} at 03:30`, label: `Every ${d} at 03:30` })),
  { value: 'monthly on 1 at 04:00', label: 'On the first of each month at 04:00' },
]

const keeps = [
  ['keep_last', 'The last'],
  ['keep_daily', 'Daily'],
  ['keep_weekly', 'Weekly'],
  ['keep_monthly', 'Monthly'],
  ['keep_yearly', 'Yearly'],
] as const

type Props = { branch: BranchName; schedule: Schedule | null; onClose: () => void; again: () => void }

/** Asks what is to be done with a branch again and again, when, and what stays of it. */
export function ScheduleDialog({ branch, schedule, onClose, again }: Props) {
  const [s, set] = useState<Schedule>(
    schedule ?? { work: 'backup', rule: 'daily at 03:30', zone: Intl.DateTimeFormat().resolvedOptions().timeZone },
  )
  const [name, setName] = useState(schedule?.name ?? '')
  const [tables, setTables] = useState((schedule?.tables ?? []).join(', '))
  const [days, setDays] = useState(schedule?.keep_seconds ? String(schedule.keep_seconds / 86400) : '')
  const change = (c: Partial<Schedule>) => set({ ...s, ...c })
  const known = rules.some((r) => r.value === s.rule)
  const [own, setOwn] = useState(!known)
  return (
    <FormDialog
      title={schedule ? `Change ${schedule.name}` : 'New schedule'}
      about={`For ${branch.project}/${branch.branch}.`}
      action="Save"
      ready={name.trim() !== '' && s.rule.trim() !== ''}
      onClose={onClose}
      onSubmit={async () => {
        const backup = s.work === 'backup'
        await api.set(branch, name.trim(), {
          ...s,
          format: backup ? (s.format ?? 'custom') : undefined,
          tables: backup ? patternsOf(tables) : undefined,
          keep_seconds: Math.round(Number(days || 0) * 86400),
        })
        again()
        onClose()
      }}
    >
      <Field label="Name">
        {(ids) => (
          <Input
            {...ids}
            autoFocus={!schedule}
            readOnly={schedule !== null}
            value={name}
            placeholder="weekly dump"
            onChange={(e) => setName(e.target.value)}
          />
        )}
      </Field>
      <Field label="What">
        {(ids) => (
          <Select
            {...ids}
            value={s.work}
            onValueChange={(work) => change({ work: work as Schedule['work'] })}
            options={Object.entries(works).map(([value, w]) => ({ value, label: w.label }))}
          />
        )}
      </Field>
      <Field label="When">
        {(ids) => (
          <Select
            {...ids}
            value={own ? 'own' : s.rule}
            onValueChange={(rule) => {
              setOwn(rule === 'own')
              if (rule !== 'own') change({ rule })
            }}
            options={[...rules, { value: 'own', label: 'By a rule of your own' }]}
          />
        )}
      </Field>
      {own && (
        <Field label="Rule" hint="“weekly on sunday at 03:00”, “monthly on 1 at 04:00”, or five fields of cron.">
          {(ids) => <Input {...ids} value={s.rule} onChange={(e) => change({ rule: e.target.value })} />}
        </Field>
      )}
      <Field label="Time zone" hint="Of the IANA database, such as Europe/Berlin.">
        {(ids) => (
          <Input {...ids} value={s.zone ?? ''} placeholder="UTC" onChange={(e) => change({ zone: e.target.value })} />
        )}
      </Field>
      {s.work === 'backup' && (
        <>
          <Field label="Format">
            {(ids) => (
              <Select
                {...ids}
                value={s.format ?? 'custom'}
                onValueChange={(format) => change({ format })}
                options={formats}
              />
            )}
          </Field>
          <Field label="Tables" hint="All when left empty. Patterns between commas.">
            {(ids) => (
              <Input {...ids} value={tables} placeholder="all tables" onChange={(e) => setTables(e.target.value)} />
            )}
          </Field>
        </>
      )}
      {s.work !== 'drill' && (
        <fieldset>
          <legend className="mb-1.5 font-medium text-sm">What stays</legend>
          <div className="grid grid-cols-3 gap-2">
            {keeps.map(([field, label]) => (
              <Field key={field} label={<span className="font-normal text-muted text-xs">{label}</span>}>
                {(ids) => (
                  <Input
                    {...ids}
                    inputMode="numeric"
                    value={s[field] ? String(s[field]) : ''}
                    onChange={(e) => change({ [field]: Number(e.target.value.replace(/\D/g, '')) })}
                  />
                )}
              </Field>
            ))}
            <Field label={<span className="font-normal text-muted text-xs">Days</span>}>
              {(ids) => (
                <Input
                  {...ids}
                  inputMode="numeric"
                  value={days}
                  onChange={(e) => setDays(e.target.value.replace(/\D/g, ''))}
                />
              )}
            </Field>
          </div>
          <p className="mt-1.5 text-faint text-xs">
            What any of these keeps stays; everything when all are empty. The last good and the last verified backup
            always stay.
          </p>
        </fieldset>
      )}
    </FormDialog>
  )
}
