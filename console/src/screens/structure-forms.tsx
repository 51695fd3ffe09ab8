import { useState } from 'react'

import {
  addColumnSQL,
  addConstraintSQL,
  alterColumnSQL,
  alterTableSQL,
  type ColumnForm,
  type ConstraintForm,
  createIndexSQL,
  createPolicySQL,
  plainColumn,
} from '@/lib/ddl'
import { qualified } from '@/lib/table-sql'
import { Checkbox, Field, Input, Select } from '@/ui/field'
import { type Change, ChangeDialog, type FormProps } from './structure-change'
import { NewTable, options, TypeInput } from './structure-new-table'

/** The form of a change. */
export function ChangeForm({ change, ...props }: FormProps & { change: Change }) {
  const { table } = props
  if (change.form === 'new table') return <NewTable {...props} />
  if (!table) return null
  const known = { ...props, table }
  if (change.form === 'change table') return <ChangeTable {...known} />
  if (change.form === 'add column') return <AddColumn {...known} />
  if (change.form === 'change column') return <ChangeColumn {...known} column={change.column} />
  if (change.form === 'add constraint') return <AddConstraint {...known} />
  if (change.form === 'add index') return <AddIndex {...known} />
  if (change.form === 'add policy') return <AddPolicy {...known} />
  return (
    <ChangeDialog
      branch={props.branch}
      title={change.title}
      action={change.action}
      sql={change.sql}
      loses={change.loses}
      onClose={props.onClose}
      onDone={() => props.onDone(change.leaves ? null : undefined)}
    >
      {change.about}
    </ChangeDialog>
  )
}

type Known = FormProps & { table: NonNullable<FormProps['table']> }

function ChangeTable({ branch, table, onClose, onDone }: Known) {
  const [name, setName] = useState(table.name)
  const [comment, setComment] = useState(table.comment)
  const sql = name.trim() === '' ? '' : alterTableSQL(table.kind, table.schema, table, { name, comment })
  return (
    <ChangeDialog
      branch={branch}
      title={`Change ${table.name}`}
      action="Change"
      sql={sql}
      onClose={onClose}
      onDone={() => onDone({ schema: table.schema, name: name.trim() })}
    >
      <Field label="Name">
        {(ids) => <Input {...ids} autoFocus value={name} onChange={(e) => setName(e.target.value)} />}
      </Field>
      <Field label="Comment">
        {(ids) => <Input {...ids} value={comment} onChange={(e) => setComment(e.target.value)} />}
      </Field>
    </ChangeDialog>
  )
}

function AddColumn({ branch, table, onClose, onDone }: Known) {
  const [c, setC] = useState<ColumnForm>(plainColumn)
  const whole = c.name.trim() !== '' && c.type.trim() !== ''
  return (
    <ChangeDialog
      branch={branch}
      title={`Add a column to ${table.name}`}
      action="Add column"
      sql={whole ? addColumnSQL(qualified(table), c) : ''}
      onClose={onClose}
      onDone={() => onDone()}
    >
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label="Name">
          {(ids) => <Input {...ids} autoFocus value={c.name} onChange={(e) => setC({ ...c, name: e.target.value })} />}
        </Field>
        <Field label="Type">
          {(ids) => <TypeInput id={ids.id} value={c.type} onChange={(type) => setC({ ...c, type })} />}
        </Field>
      </div>
      <Field label="Default" hint="An expression, such as 0, 'open' or now().">
        {(ids) => (
          <Input
            {...ids}
            value={c.default}
            onChange={(e) => setC({ ...c, default: e.target.value })}
            className="font-mono text-xs"
          />
        )}
      </Field>
      <Checkbox
        label="Required"
        hint="A table that has rows needs a default for it."
        checked={c.required}
        onCheckedChange={(required) => setC({ ...c, required })}
      />
    </ChangeDialog>
  )
}

function ChangeColumn({
  branch,
  table,
  column,
  onClose,
  onDone,
}: Known & { column: Known['table']['columns'][number] }) {
  const fixed = column.generated !== '' || column.identity !== ''
  const is = { ...column, default: fixed ? '' : column.default }
  const [shall, setShall] = useState({ ...is, using: '' })
  const whole = shall.name.trim() !== '' && shall.type.trim() !== ''
  const retyped = shall.type.trim() !== is.type
  return (
    <ChangeDialog
      branch={branch}
      title={`Change ${table.name}.${column.name}`}
      action="Change column"
      sql={whole ? alterColumnSQL(qualified(table), is, shall) : ''}
      onClose={onClose}
      onDone={() => onDone()}
    >
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label="Name">
          {(ids) => (
            <Input
              {...ids}
              autoFocus
              value={shall.name}
              onChange={(e) => setShall({ ...shall, name: e.target.value })}
            />
          )}
        </Field>
        <Field label="Type">
          {(ids) => <TypeInput id={ids.id} value={shall.type} onChange={(type) => setShall({ ...shall, type })} />}
        </Field>
      </div>
      {retyped && (
        <Field
          label="Using"
          hint={`How values become those of the new type, such as ${column.name}::integer. Empty: as PostgreSQL converts them.`}
        >
          {(ids) => (
            <Input
              {...ids}
              value={shall.using}
              onChange={(e) => setShall({ ...shall, using: e.target.value })}
              className="font-mono text-xs"
            />
          )}
        </Field>
      )}
      {!fixed && (
        <Field label="Default" hint="An expression; empty: none.">
          {(ids) => (
            <Input
              {...ids}
              value={shall.default}
              onChange={(e) => setShall({ ...shall, default: e.target.value })}
              className="font-mono text-xs"
            />
          )}
        </Field>
      )}
      <Field label="Comment">
        {(ids) => (
          <Input {...ids} value={shall.comment} onChange={(e) => setShall({ ...shall, comment: e.target.value })} />
        )}
      </Field>
      <Checkbox
        label="Required"
        checked={shall.required}
        onCheckedChange={(required) => setShall({ ...shall, required })}
      />
    </ChangeDialog>
  )
}

/** Chooses columns; their order is that of choosing. */
function ColumnsField({
  label,
  names,
  value,
  onChange,
}: {
  label: string
  names: string[]
  value: string[]
  onChange: (v: string[]) => void
}) {
  return (
    <fieldset>
      <legend className="mb-1.5 font-medium">
        {label}
        {value.length > 1 && <span className="font-normal text-muted text-xs"> {value.join(', ')}</span>}
      </legend>
      <div className="flex max-h-40 flex-wrap gap-x-4 gap-y-1.5 overflow-y-auto">
        {names.map((name) => (
          <Checkbox
            key={name}
            label={name}
            checked={value.includes(name)}
            onCheckedChange={(on) => onChange(on ? [...value, name] : value.filter((v) => v !== name))}
          />
        ))}
      </div>
    </fieldset>
  )
}

const kinds = ['unique', 'primary key', 'foreign key', 'check'] as const
const deletions = ['NO ACTION', 'RESTRICT', 'CASCADE', 'SET NULL', 'SET DEFAULT']

function AddConstraint({ branch, table, tables, onClose, onDone }: Known) {
  const [kind, setKind] = useState<ConstraintForm['kind']>('unique')
  const [name, setName] = useState('')
  const [columns, setColumns] = useState<string[]>([])
  const [expression, setExpression] = useState('')
  const others = tables.filter((t) => t.kind === 'table' || t.kind === 'partitioned table')
  const [other, setOther] = useState(others[0] ? qualified(others[0]) : '')
  const [targets, setTargets] = useState('id')
  const [onDelete, setOnDelete] = useState('NO ACTION')
  const pointed = targets
    .split(',')
    .map((t) => t.trim())
    .filter(Boolean)
  const form: ConstraintForm =
    kind === 'check'
      ? { kind, name, expression }
      : kind === 'foreign key'
        ? { kind, name, columns, table: other, targets: pointed, onDelete }
        : { kind, name, columns }
  const whole =
    kind === 'check'
      ? expression.trim() !== ''
      : columns.length > 0 && (kind !== 'foreign key' || (other !== '' && pointed.length === columns.length))
  return (
    <ChangeDialog
      branch={branch}
      title={`Add a constraint to ${table.name}`}
      action="Add constraint"
      sql={whole ? addConstraintSQL(qualified(table), form) : ''}
      onClose={onClose}
      onDone={() => onDone()}
    >
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label="Kind">
          {(ids) => (
            <Select
              {...ids}
              value={kind}
              onValueChange={(k) => setKind(k as ConstraintForm['kind'])}
              options={options(kinds)}
            />
          )}
        </Field>
        <Field label="Name" hint="Empty: PostgreSQL makes one up.">
          {(ids) => <Input {...ids} value={name} onChange={(e) => setName(e.target.value)} />}
        </Field>
      </div>
      {kind === 'check' ? (
        <Field label="Expression" hint="What holds for every row, such as total >= 0.">
          {(ids) => (
            <Input
              {...ids}
              value={expression}
              onChange={(e) => setExpression(e.target.value)}
              className="font-mono text-xs"
            />
          )}
        </Field>
      ) : (
        <ColumnsField label="Columns" names={table.columns.map((c) => c.name)} value={columns} onChange={setColumns} />
      )}
      {kind === 'foreign key' && (
        <div className="grid gap-3 sm:grid-cols-3">
          <Field label="Points to">
            {(ids) => (
              <Select
                {...ids}
                value={other}
                onValueChange={setOther}
                options={others.map((t) => ({ value: qualified(t), label: `${t.schema}.${t.name}` }))}
              />
            )}
          </Field>
          <Field label="Its columns" hint="One for each, with commas.">
            {(ids) => <Input {...ids} value={targets} onChange={(e) => setTargets(e.target.value)} />}
          </Field>
          <Field label="When that row is deleted">
            {(ids) => <Select {...ids} value={onDelete} onValueChange={setOnDelete} options={options(deletions)} />}
          </Field>
        </div>
      )}
    </ChangeDialog>
  )
}

const methods = ['btree', 'hash', 'gin', 'gist', 'spgist', 'brin']

function AddIndex({ branch, table, onClose, onDone }: Known) {
  const [i, setI] = useState({ name: '', columns: [] as string[], unique: false, method: 'btree', where: '' })
  return (
    <ChangeDialog
      branch={branch}
      title={`Add an index to ${table.name}`}
      action="Create index"
      sql={i.columns.length > 0 ? createIndexSQL(qualified(table), i) : ''}
      onClose={onClose}
      onDone={() => onDone()}
    >
      <div className="grid gap-3 sm:grid-cols-2">
        <Field label="Name" hint="Empty: PostgreSQL makes one up.">
          {(ids) => <Input {...ids} value={i.name} onChange={(e) => setI({ ...i, name: e.target.value })} />}
        </Field>
        <Field label="Method">
          {(ids) => (
            <Select
              {...ids}
              value={i.method}
              onValueChange={(method) => setI({ ...i, method })}
              options={options(methods)}
            />
          )}
        </Field>
      </div>
      <ColumnsField
        label="Columns"
        names={table.columns.map((c) => c.name)}
        value={i.columns}
        onChange={(columns) => setI({ ...i, columns })}
      />
      <Field label="Only rows where" hint="A condition; empty: all rows.">
        {(ids) => (
          <Input
            {...ids}
            value={i.where}
            onChange={(e) => setI({ ...i, where: e.target.value })}
            className="font-mono text-xs"
          />
        )}
      </Field>
      <Checkbox label="Unique" checked={i.unique} onCheckedChange={(unique) => setI({ ...i, unique })} />
    </ChangeDialog>
  )
}

const commands = ['all', 'select', 'insert', 'update', 'delete']

function AddPolicy({ branch, table, onClose, onDone }: Known) {
  const [p, setP] = useState({ name: '', command: 'all', permissive: true, role: 'public', using: '', check: '' })
  const sees = p.command !== 'insert'
  const writes = !['select', 'delete'].includes(p.command)
  const condition = (label: string, key: 'using' | 'check', hint: string) => (
    <Field label={label} hint={hint}>
      {(ids) => (
        <Input
          {...ids}
          value={p[key]}
          onChange={(e) => setP({ ...p, [key]: e.target.value })}
          className="font-mono text-xs"
        />
      )}
    </Field>
  )
  return (
    <ChangeDialog
      branch={branch}
      title={`Add a policy to ${table.name}`}
      action="Create policy"
      sql={p.name.trim() === '' ? '' : createPolicySQL(qualified(table), p)}
      onClose={onClose}
      onDone={() => onDone()}
    >
      <div className="grid gap-3 sm:grid-cols-3">
        <Field label="Name">
          {(ids) => <Input {...ids} autoFocus value={p.name} onChange={(e) => setP({ ...p, name: e.target.value })} />}
        </Field>
        <Field label="For">
          {(ids) => (
            <Select
              {...ids}
              value={p.command}
              onValueChange={(command) => setP({ ...p, command })}
              options={options(commands)}
            />
          )}
        </Field>
        <Field label="Role" hint="public: everybody.">
          {(ids) => <Input {...ids} value={p.role} onChange={(e) => setP({ ...p, role: e.target.value })} />}
        </Field>
      </div>
      {sees && condition('Rows that can be seen', 'using', 'A condition, such as tenant = current_user.')}
      {writes && condition('Rows that can be written', 'check', 'Empty: those that can be seen.')}
      <Checkbox
        label="Permissive"
        hint="Of permissive policies one has to let a row through; restrictive ones all have to."
        checked={p.permissive}
        onCheckedChange={(permissive) => setP({ ...p, permissive })}
      />
    </ChangeDialog>
  )
}
