import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { ListChecks, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { backups as api, type BranchName, tableSets } from '@/api/backups'
import { asProblem } from '@/api/problem'
import { queries } from '@/api/queries'
import { count } from '@/lib/format'
import { patternOf, patternsOf } from '@/lib/patterns'
import { useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { Checkbox, Field, Input, Select } from '@/ui/field'
import { ErrorNotice } from '@/ui/pieces'
import { formats } from './backup-frame'
import { FormDialog } from './branch-dialogs'

const kinds = [
  { value: 'all', label: 'Structure and rows' },
  { value: 'data', label: 'Rows only' },
  { value: 'schema', label: 'Structure only' },
]

type Props = { branch?: string; onClose: () => void; again: () => void }

/** Asks for a backup: of which branch, in which format, of which tables. */
export function NewBackup({ branch: first, onClose, again }: Props) {
  const projects = useQuery(queries.projects()).data ?? []
  const all = projects.flatMap((p) => p.branches.filter((b) => !b.look).map((b) => `${p.name}/${b.name}`))
  const [branch, setBranch] = useState(first ?? '')
  const [format, setFormat] = useState('json')
  const [kind, setKind] = useState('all')
  const [tables, setTables] = useState('')
  const [set, setSet] = useState('')
  const [pinned, setPinned] = useState(false)
  const chosen = branch || all[0] || ''
  const [project = '', name = ''] = chosen.split('/')
  return (
    <FormDialog
      title="New backup"
      action="Back up"
      ready={chosen !== ''}
      onClose={onClose}
      onSubmit={async () => {
        const some = patternsOf(tables)
        await api.create({
          project,
          branch: name,
          format: format as 'json',
          ...(some.length > 0 && { tables: some }),
          ...(set && { table_set: set }),
          data_only: kind === 'data',
          schema_only: kind === 'schema',
          pinned,
        })
        again()
        onClose()
      }}
    >
      <Field label="Branch">
        {(ids) => (
          <Select
            {...ids}
            value={chosen}
            onValueChange={(b) => {
              setBranch(b)
              setSet('')
            }}
            options={all.map((b) => ({ value: b, label: b }))}
          />
        )}
      </Field>
      <Field label="Format">
        {(ids) => <Select {...ids} value={format} onValueChange={setFormat} options={formats} />}
      </Field>
      <Field label="What">{(ids) => <Select {...ids} value={kind} onValueChange={setKind} options={kinds} />}</Field>
      {chosen !== '' && (
        <Tables
          key={chosen}
          branch={{ project, branch: name }}
          text={tables}
          onText={setTables}
          set={set}
          onSet={setSet}
        />
      )}
      <Checkbox checked={pinned} onCheckedChange={setPinned} label="Pin it" hint="No rule of a schedule deletes it." />
    </FormDialog>
  )
}

type TablesProps = {
  branch: BranchName
  text: string
  onText: (text: string) => void
  set: string
  onSet: (name: string) => void
}

/** Which tables: by pattern, by choosing from those that there are, or a set that was named before. */
function Tables({ branch, text, onText, set, onSet }: TablesProps) {
  const sets = useQuery({
    queryKey: ['table-sets', branch.project],
    queryFn: ({ signal }) => tableSets.of(branch.project, signal),
  })
  const known = useMutation({ mutationFn: () => api.stats(branch) })
  const chosen = patternsOf(text)
  const named = sets.data ?? []
  return (
    <>
      {named.length > 0 && (
        <Field label="Set of tables">
          {(ids) => (
            <Select
              {...ids}
              value={set || '-'}
              onValueChange={(v) => onSet(v === '-' ? '' : v)}
              options={[
                { value: '-', label: 'None' },
                ...named.map((s) => ({ value: s.name ?? '', label: `${s.name}: ${(s.tables ?? []).join(', ')}` })),
              ]}
            />
          )}
        </Field>
      )}
      <Field label="Tables" hint="All when left empty. Patterns between commas: orders, sales.*, “Odd Name” in quotes.">
        {(ids) => <Input {...ids} value={text} placeholder="all tables" onChange={(e) => onText(e.target.value)} />}
      </Field>
      {known.error && <ErrorNotice error={known.error} />}
      {known.data ? (
        <fieldset className="max-h-44 overflow-y-auto rounded-md border border-line p-2">
          <legend className="px-1 text-faint text-xs">Tables of {branch.branch}</legend>
          {(known.data.tables ?? []).map((t) => {
            const pattern = patternOf(t.schema, t.table)
            return (
              <Checkbox
                key={pattern}
                checked={chosen.includes(pattern)}
                onCheckedChange={(on) =>
                  onText((on ? [...chosen, pattern] : chosen.filter((c) => c !== pattern)).join(', '))
                }
                label={
                  <span className="font-normal">
                    {t.schema}.{t.table} <span className="text-faint text-xs">{count(t.records)} rows</span>
                  </span>
                }
              />
            )
          })}
        </fieldset>
      ) : (
        <Button className="self-start" busy={known.isPending} onClick={() => known.mutate()}>
          <ListChecks /> Choose from its tables
        </Button>
      )}
      <Sets project={branch.project} chosen={chosen} set={set} onSet={onSet} />
    </>
  )
}

/** Naming what was chosen, and forgetting a name. */
function Sets({
  project,
  chosen,
  set,
  onSet,
}: {
  project: string
  chosen: string[]
  set: string
  onSet: (name: string) => void
}) {
  const client = useQueryClient()
  const may = useRights(project).admin
  const [name, setName] = useState('')
  const change = useMutation({
    mutationFn: (forget: boolean) =>
      forget ? tableSets.remove(project, set) : tableSets.set(project, name.trim(), chosen),
    onSuccess: async (_, forget) => {
      await client.invalidateQueries({ queryKey: ['table-sets', project] })
      toast.success(forget ? `The set ${set} is forgotten` : `The set ${name.trim()} is kept`)
      if (forget) onSet('')
      setName('')
    },
    onError: (thrown) => {
      const problem = asProblem(thrown)
      toast.error(problem.message, { description: problem.hint })
    },
  })
  if (!may) return null
  if (set)
    return (
      <Button className="self-start" variant="ghost" busy={change.isPending} onClick={() => change.mutate(true)}>
        <Trash2 /> Forget the set {set}
      </Button>
    )
  if (chosen.length === 0) return null
  return (
    <div className="flex items-end gap-2">
      <div className="flex-1">
        <Field label="Keep these tables as a set">
          {(ids) => <Input {...ids} value={name} placeholder="catalogue" onChange={(e) => setName(e.target.value)} />}
        </Field>
      </div>
      <Button disabled={name.trim() === ''} busy={change.isPending} onClick={() => change.mutate(false)}>
        Keep
      </Button>
    </div>
  )
}
