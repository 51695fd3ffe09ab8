import { Plus, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { type ColumnForm, createTableSQL, plainColumn } from '@/lib/ddl'
import { Button } from '@/ui/button'
import { Checkbox, Field, Input, Select } from '@/ui/field'
import { ChangeDialog, type FormProps } from './structure-change'

export const options = (values: readonly string[]) => values.map((value) => ({ value, label: value }))

/** Types that are offered; any other can be typed. */
const types = [
  'text',
  'integer',
  'bigint',
  'numeric(12,2)',
  'double precision',
  'boolean',
  'date',
  'timestamptz',
  'interval',
  'uuid',
  'jsonb',
  'bytea',
  'text[]',
  'inet',
]

/** A type's name, with those that are used most. */
export function TypeInput({
  value,
  onChange,
  label,
  id,
}: {
  value: string
  onChange: (v: string) => void
  label?: string
  id?: string
}) {
  return (
    <>
      <Input
        id={id}
        aria-label={label}
        list="known-types"
        value={value}
        onChange={(e) => onChange(e.target.value)}
        className="font-mono text-xs"
      />
      <datalist id="known-types">
        {types.map((t) => (
          <option key={t} value={t} />
        ))}
      </datalist>
    </>
  )
}

const numbered: ColumnForm = {
  name: 'id',
  type: 'bigint',
  required: true,
  default: 'GENERATED ALWAYS AS IDENTITY',
  key: true,
}

/** The form that makes a table. */
export function NewTable({ branch, tables, onClose, onDone }: FormProps) {
  const [schema, setSchema] = useState('public')
  const [name, setName] = useState('')
  const [comment, setComment] = useState('')
  const [columns, setColumns] = useState<ColumnForm[]>([numbered])
  const set = (i: number, to: Partial<ColumnForm>) =>
    setColumns(columns.map((c, at) => (at === i ? { ...c, ...to } : c)))
  const whole = name.trim() !== '' && columns.every((c) => c.name.trim() !== '' && c.type.trim() !== '')
  const schemas = [...new Set(['public', ...tables.map((t) => t.schema)])]
  return (
    <ChangeDialog
      branch={branch}
      title="New table"
      action="Create table"
      sql={whole ? createTableSQL(schema, name.trim(), columns, comment) : ''}
      onClose={onClose}
      onDone={() => onDone({ schema, name: name.trim() })}
    >
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label="Name">
          {(ids) => <Input {...ids} autoFocus value={name} onChange={(e) => setName(e.target.value)} />}
        </Field>
        <Field label="Schema">
          {(ids) => <Select {...ids} value={schema} onValueChange={setSchema} options={options(schemas)} />}
        </Field>
      </div>
      <fieldset className="flex flex-col gap-2">
        <legend className="mb-1 font-medium">Columns</legend>
        {columns.map((c, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: columns have no other identity than their place
          <div key={i} className="flex flex-wrap items-center gap-2">
            <Input
              aria-label={`Name of column ${i + 1}`}
              placeholder="name"
              value={c.name}
              onChange={(e) => set(i, { name: e.target.value })}
              className="w-32"
            />
            <div className="w-32">
              <TypeInput label={`Type of column ${i + 1}`} value={c.type} onChange={(type) => set(i, { type })} />
            </div>
            <Input
              aria-label={`Default of column ${i + 1}`}
              placeholder="default"
              value={c.default}
              onChange={(e) => set(i, { default: e.target.value })}
              className="w-40 flex-1 font-mono text-xs"
            />
            <Checkbox label="Required" checked={c.required} onCheckedChange={(required) => set(i, { required })} />
            <Checkbox label="Key" checked={c.key} onCheckedChange={(key) => set(i, { key })} />
            <Button
              size="icon-sm"
              variant="ghost"
              aria-label={`Remove column ${i + 1}`}
              onClick={() => setColumns(columns.filter((_, at) => at !== i))}
            >
              <Trash2 />
            </Button>
          </div>
        ))}
        <Button className="self-start" onClick={() => setColumns([...columns, plainColumn])}>
          <Plus /> Add column
        </Button>
      </fieldset>
      <Field label="Comment">
        {(ids) => <Input {...ids} value={comment} onChange={(e) => setComment(e.target.value)} />}
      </Field>
    </ChangeDialog>
  )
}
