import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { backups as api, type Backup, type RestoreBackup } from '@/api/backups'
import { queries } from '@/api/queries'
import { count, moment } from '@/lib/format'
import { patternOf } from '@/lib/patterns'
import { useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { Confirm, ProductionBar } from '@/ui/confirm'
import { Checkbox, Field, Input, Select } from '@/ui/field'
import { FormDialog } from './branch-dialogs'

const fresh = '+new'

const ways = [
  { value: 'refuse', label: 'Only into what is empty; say what is in the way' },
  { value: 'clear', label: 'Replace what is there' },
  { value: 'upsert', label: 'Add missing rows, set others back' },
  { value: 'insert-missing', label: 'Add missing rows, leave others' },
]

type Props = { backup: Backup; onClose: () => void; onWork: (id: string, title: string) => void }

/** Asks where a backup is restored to, and what becomes of what is there. The server restores it aside and checks it first. */
export function RestoreDialog({ backup: b, onClose, onWork }: Props) {
  const branches = useQuery(queries.project(b.project)).data?.branches.filter((x) => !x.look) ?? []
  const rights = useRights(b.project)
  const [to, setTo] = useState(b.data_only ? 'development' : fresh)
  const [name, setName] = useState('')
  const [tables, setTables] = useState<string[]>([])
  const [way, setWay] = useState('refuse')
  const [cascade, setCascade] = useState(false)
  const [typed, setTyped] = useState('')
  const target = branches.find((x) => x.name === to)
  const production = target?.environment === 'production'
  const made = to === fresh
  // Rows go into tables that are there: of a backup that has only some, or when only some are wanted.
  const merges = !made && (tables.length > 0 || b.data_only || (b.tables ?? []).length > 0)
  const replaces = !made && (way === 'clear' || (merges && way === 'upsert'))
  const full = `${b.project}/${to}`
  const ready = made ? name !== '' : !replaces || typed === full
  const submit = async () => {
    const ask: RestoreBackup = { backup: b.id, tables }
    if (!made) {
      ask.clear = way === 'clear'
      if (merges && way !== 'refuse' && way !== 'clear') ask.mode = way as 'upsert'
      ask.cascade = merges && cascade
      if (replaces) ask.confirm = typed
    }
    const branch = made ? name : to
    const job = await api.restore({ project: b.project, branch }, ask)
    onClose()
    onWork(job.id, `Restoring into ${branch}`)
  }
  return (
    <FormDialog
      title={`Restore ${b.name}`}
      about={b.snapshot_at ? `As of ${moment(new Date(b.snapshot_at))}, ${count(b.records)} rows.` : undefined}
      action={production && replaces ? 'Restore production' : 'Restore'}
      danger={replaces}
      banner={production ? <ProductionBar /> : undefined}
      ready={ready}
      onClose={onClose}
      onSubmit={submit}
    >
      <Field label="Into">
        {(ids) => (
          <Select
            {...ids}
            value={to}
            onValueChange={(v) => {
              setTo(v)
              setTyped('')
            }}
            options={[
              { value: fresh, label: 'A new branch', disabled: b.data_only },
              ...branches.map((x) => ({
                value: x.name,
                label: x.name,
                disabled: x.environment === 'production' ? !rights.admin || rights.agent : !rights.write,
              })),
            ]}
          />
        )}
      </Field>
      {made ? (
        <Field
          label="Name of the new branch"
          hint="Lower-case letters, digits, dashes and underscores. It lives for a day."
        >
          {(ids) => <Input {...ids} autoFocus value={name} onChange={(e) => setName(e.target.value)} />}
        </Field>
      ) : (
        <Field
          label="What is in the way"
          hint={
            merges
              ? 'All in one transaction, foreign keys checked.'
              : 'It is restored aside and checked, then takes the place of the database. What was there is kept for seven days.'
          }
        >
          {(ids) => <Select {...ids} value={way} onValueChange={setWay} options={merges ? ways : ways.slice(0, 2)} />}
        </Field>
      )}
      <Some backup={b} chosen={tables} onChoose={setTables} />
      {merges && (
        <Checkbox
          checked={cascade}
          onCheckedChange={setCascade}
          label="Rows of other tables may go along"
          hint="Where foreign keys refer to rows that are replaced."
        />
      )}
      {replaces && (
        <Field label={`Type ${full} to go on`}>
          {(ids) => <Input {...ids} value={typed} onChange={(e) => setTyped(e.target.value)} />}
        </Field>
      )}
    </FormDialog>
  )
}

function Some({
  backup: b,
  chosen,
  onChoose,
}: {
  backup: Backup
  chosen: string[]
  onChoose: (tables: string[]) => void
}) {
  const [open, setOpen] = useState(false)
  const held = b.record_counts ?? []
  if (held.length === 0) return null
  if (!open)
    return (
      <Button className="self-start" onClick={() => setOpen(true)}>
        Only some of its {count(held.length)} tables
      </Button>
    )
  return (
    <fieldset className="max-h-44 overflow-y-auto rounded-md border border-line p-2">
      <legend className="px-1 text-faint text-xs">Only these tables; none chosen: all</legend>
      {held.map((t) => {
        const pattern = patternOf(t.schema, t.table)
        return (
          <Checkbox
            key={pattern}
            checked={chosen.includes(pattern)}
            onCheckedChange={(on) => onChoose(on ? [...chosen, pattern] : chosen.filter((c) => c !== pattern))}
            label={
              <span className="font-normal">
                {t.schema}.{t.table} <span className="text-faint text-xs">{count(t.records)} rows</span>
              </span>
            }
          />
        )
      })}
    </fieldset>
  )
}

type UndoProps = { project: string; branch: string; onClose: () => void; onWork: (id: string, title: string) => void }

/** Puts back the database that the newest restore of a backup replaced. */
export function UndoRestore({ project, branch, onClose, onWork }: UndoProps) {
  return (
    <Confirm
      open
      onOpenChange={(o) => !o && onClose()}
      title={`Undo the newest restore into ${branch}?`}
      action="Undo"
      danger
      production={branch === 'production'}
      typed={`${project}/${branch}`}
      onConfirm={async () => {
        const job = await api.undoRestore({ project, branch })
        onWork(job.id, `Undoing the restore into ${branch}`)
      }}
    >
      The database that the newest restore of a backup replaced comes back. What is there now is kept in turn.
    </Confirm>
  )
}
