import { useQuery } from '@tanstack/react-query'
import { Pencil, Plus, Trash2 } from 'lucide-react'
import type { ReactNode } from 'react'
import { structure, type TableStructure } from '@/api/structure'
import type { Branch } from '@/api/types'
import { dropIndexSQL, dropSQL, plainDump, rowSecuritySQL, triggerSQL } from '@/lib/ddl'
import { count, size } from '@/lib/format'
import { qualified } from '@/lib/table-sql'
import { Button } from '@/ui/button'
import { CopyButton } from '@/ui/copy'
import { Badge, ErrorNotice, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { Tab, TabContent, TabList, Tabs } from '@/ui/tabs'
import { type Change, drop } from './structure-change'

type PartProps = { branch: Branch; table: TableStructure; may: boolean; onChange: (change: Change) => void }

/** The parts of a table's structure, each with what can be changed of it. */
export function Parts(props: PartProps) {
  const { branch, table } = props
  const facts = [
    table.kind,
    `owned by ${table.owner}`,
    table.rows >= 0 && `about ${count(table.rows)} rows`,
    table.size_bytes > 0 && size(table.size_bytes),
    table.partition_key && `partitioned by ${table.partition_key}`,
    table.partition_of && `partition of ${table.partition_of} ${table.partition_bound}`,
  ]
  return (
    <>
      <p className="px-4 pt-3 text-muted text-xs">{facts.filter(Boolean).join(' · ')}</p>
      {table.comment && <p className="px-4 pt-1 text-sm">{table.comment}</p>}
      <Tabs defaultValue="columns" key={qualified(table)} className="pt-2">
        <TabList aria-label="Parts of the structure" className="px-2">
          <Tab value="columns">Columns ({table.columns.length})</Tab>
          <Tab value="constraints">Keys and constraints ({table.constraints.length})</Tab>
          <Tab value="indexes">Indexes ({table.indexes.length})</Tab>
          <Tab value="triggers">Triggers ({table.triggers.length})</Tab>
          <Tab value="policies">Policies ({table.policies.length})</Tab>
          <Tab value="sql">SQL</Tab>
        </TabList>
        <TabContent value="columns">
          <Columns {...props} />
        </TabContent>
        <TabContent value="constraints">
          <Constraints {...props} />
        </TabContent>
        <TabContent value="indexes">
          <Indexes {...props} />
        </TabContent>
        <TabContent value="triggers">
          <Triggers {...props} />
        </TabContent>
        <TabContent value="policies">
          <Policies {...props} />
        </TabContent>
        <TabContent value="sql">
          <Definition branch={branch} table={table} />
        </TabContent>
      </Tabs>
    </>
  )
}

/** What can be changed of views is their query, with SQL. */
const isTable = (t: TableStructure) => t.kind === 'table' || t.kind === 'partitioned table'

function Foot({ show, label, onAdd }: { show: boolean; label: string; onAdd: () => void }) {
  if (!show) return null
  return (
    <div className="border-line border-t p-2">
      <Button onClick={onAdd}>
        <Plus /> {label}
      </Button>
    </div>
  )
}

function None({ children }: { children: ReactNode }) {
  return <p className="p-4 text-muted text-sm">{children}</p>
}

function DropButton({ what, onDrop }: { what: string; onDrop: () => void }) {
  return (
    <Button size="icon-sm" variant="ghost" aria-label={`Drop ${what}`} onClick={onDrop}>
      <Trash2 />
    </Button>
  )
}

// Wide enough for a type's name on a phone, where the table scrolls; what is longer than that breaks.
const code = 'min-w-44 font-mono text-xs [overflow-wrap:anywhere]'

function Columns({ table, may, onChange }: PartProps) {
  const changes = may && isTable(table)
  const key = table.constraints.find((c) => c.kind === 'primary key')?.definition ?? ''
  return (
    <>
      <Table aria-label="Columns">
        <thead>
          <tr>
            <Th>Name</Th>
            <Th>Type</Th>
            <Th>Default</Th>
            <Th>Comment</Th>
            {changes && <Th aria-label="Actions" />}
          </tr>
        </thead>
        <tbody>
          {table.columns.map((c) => (
            <Tr key={c.name}>
              <Td>
                <span className="font-medium">{c.name}</span> {inKey(key, c.name) && <Badge tone="accent">key</Badge>}{' '}
                {c.required && <Badge>required</Badge>}
              </Td>
              <Td className={code}>{c.type}</Td>
              <Td className={code}>
                {c.identity !== '' && `identity, ${c.identity}`}
                {c.generated !== '' && `${c.generated}: `}
                {c.default}
              </Td>
              <Td>{c.comment}</Td>
              {changes && (
                <Td className="whitespace-nowrap text-right">
                  <Button
                    size="icon-sm"
                    variant="ghost"
                    aria-label={`Change ${c.name}`}
                    onClick={() => onChange({ form: 'change column', column: c })}
                  >
                    <Pencil />
                  </Button>
                  <DropButton
                    what={c.name}
                    onDrop={() =>
                      onChange(
                        drop(
                          `${table.name}.${c.name}`,
                          dropSQL('column', qualified(table), c.name),
                          'Its values go with it.',
                        ),
                      )
                    }
                  />
                </Td>
              )}
            </Tr>
          ))}
        </tbody>
      </Table>
      <Foot show={changes} label="Add column" onAdd={() => onChange({ form: 'add column' })} />
    </>
  )
}

/** Whether a key's definition, such as PRIMARY KEY (a, "b c"), names a column. */
function inKey(definition: string, column: string): boolean {
  const names = definition.slice(definition.indexOf('(') + 1, definition.lastIndexOf(')'))
  const quoted = `"${column.replaceAll('"', '""')}"`
  return names.split(', ').some((n) => n === column || n === quoted)
}

function Constraints({ table, may, onChange }: PartProps) {
  const changes = may && isTable(table)
  return (
    <>
      {table.constraints.length === 0 && <None>There are no keys and no constraints.</None>}
      {table.constraints.length > 0 && (
        <Table aria-label="Constraints">
          <thead>
            <tr>
              <Th>Name</Th>
              <Th>Kind</Th>
              <Th>Definition</Th>
              {changes && <Th aria-label="Actions" />}
            </tr>
          </thead>
          <tbody>
            {table.constraints.map((c) => (
              <Tr key={c.name}>
                <Td>{c.name}</Td>
                <Td className="whitespace-nowrap">
                  {c.kind} {!c.valid && <Badge tone="warn">not validated</Badge>}
                </Td>
                <Td className={code}>{c.definition}</Td>
                {changes && (
                  <Td className="text-right">
                    <DropButton
                      what={c.name}
                      onDrop={() =>
                        onChange(drop(c.name, dropSQL('constraint', qualified(table), c.name), 'No row is lost.'))
                      }
                    />
                  </Td>
                )}
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
      {table.referenced_by.length > 0 && (
        <div className="p-4 text-sm">
          <p className="font-medium">Tables that point here</p>
          <ul className="mt-1">
            {table.referenced_by.map((r) => (
              <li key={`${r.table} ${r.name}`} className={code}>
                {r.table}: {r.definition}
              </li>
            ))}
          </ul>
        </div>
      )}
      <Foot show={changes} label="Add constraint" onAdd={() => onChange({ form: 'add constraint' })} />
    </>
  )
}

function Indexes({ table, may, onChange }: PartProps) {
  const changes = may && (isTable(table) || table.kind === 'materialized view')
  return (
    <>
      {table.indexes.length === 0 && <None>There are no indexes.</None>}
      {table.indexes.length > 0 && (
        <Table aria-label="Indexes">
          <thead>
            <tr>
              <Th>Name</Th>
              <Th>Definition</Th>
              <Th>Size</Th>
              {changes && <Th aria-label="Actions" />}
            </tr>
          </thead>
          <tbody>
            {table.indexes.map((i) => (
              <Tr key={i.name}>
                <Td>
                  {i.name} {i.unique && <Badge>unique</Badge>} {!i.valid && <Badge tone="warn">not valid</Badge>}
                </Td>
                <Td className={code}>{i.definition}</Td>
                <Td className="whitespace-nowrap">{size(i.size_bytes)}</Td>
                {changes && (
                  <Td className="text-right">
                    {!i.constraint && (
                      <DropButton
                        what={i.name}
                        onDrop={() =>
                          onChange(
                            drop(i.name, dropIndexSQL(table.schema, i.name), 'No row is lost; queries may get slower.'),
                          )
                        }
                      />
                    )}
                  </Td>
                )}
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
      <Foot show={changes} label="Add index" onAdd={() => onChange({ form: 'add index' })} />
    </>
  )
}

function Triggers({ table, may, onChange }: PartProps) {
  if (table.triggers.length === 0) return <None>There are no triggers. They are made with SQL.</None>
  return (
    <Table aria-label="Triggers">
      <thead>
        <tr>
          <Th>Name</Th>
          <Th>Definition</Th>
          <Th>Fires</Th>
          {may && <Th aria-label="Actions" />}
        </tr>
      </thead>
      <tbody>
        {table.triggers.map((t) => {
          const off = t.enabled === 'disabled'
          return (
            <Tr key={t.name}>
              <Td>{t.name}</Td>
              <Td className={code}>{t.definition}</Td>
              <Td>{off ? <Badge tone="warn">disabled</Badge> : t.enabled === 'origin' ? 'yes' : t.enabled}</Td>
              {may && (
                <Td className="whitespace-nowrap text-right">
                  <Button
                    size="sm"
                    variant="ghost"
                    onClick={() =>
                      onChange({
                        form: 'statement',
                        title: `${off ? 'Enable' : 'Disable'} ${t.name}?`,
                        action: off ? 'Enable' : 'Disable',
                        about: null,
                        sql: triggerSQL(qualified(table), t.name, off),
                      })
                    }
                  >
                    {off ? 'Enable' : 'Disable'}
                  </Button>
                  <DropButton
                    what={t.name}
                    onDrop={() =>
                      onChange(drop(t.name, dropSQL('trigger', qualified(table), t.name), 'Its function stays.'))
                    }
                  />
                </Td>
              )}
            </Tr>
          )
        })}
      </tbody>
    </Table>
  )
}

function Policies({ table, may, onChange }: PartProps) {
  const on = table.row_security
  const changes = may && isTable(table)
  return (
    <>
      <div className="flex flex-wrap items-center gap-2 px-4 py-3 text-sm">
        <span>
          Row security is {on ? 'on' : 'off'}
          {on && table.force_row_security && ', for the owner too'}
          {!on && table.policies.length > 0 && ': the policies have no effect'}.
        </span>
        {changes && (
          <Button
            size="sm"
            onClick={() =>
              onChange({
                form: 'statement',
                title: `Turn row security ${on ? 'off' : 'on'}?`,
                action: on ? 'Turn off' : 'Turn on',
                about: on
                  ? 'Every role that may read the table sees all rows.'
                  : 'Without a policy, only the owner sees rows.',
                sql: rowSecuritySQL(qualified(table), !on),
              })
            }
          >
            Turn {on ? 'off' : 'on'}
          </Button>
        )}
      </div>
      {table.policies.length > 0 && (
        <Table aria-label="Policies">
          <thead>
            <tr>
              <Th>Name</Th>
              <Th>For</Th>
              <Th>Roles</Th>
              <Th>Can be seen</Th>
              <Th>Can be written</Th>
              {changes && <Th aria-label="Actions" />}
            </tr>
          </thead>
          <tbody>
            {table.policies.map((p) => (
              <Tr key={p.name}>
                <Td>
                  {p.name} {!p.permissive && <Badge>restrictive</Badge>}
                </Td>
                <Td>{p.command}</Td>
                <Td>{p.roles.join(', ')}</Td>
                <Td className={code}>{p.using}</Td>
                <Td className={code}>{p.check}</Td>
                {changes && (
                  <Td className="text-right">
                    <DropButton
                      what={p.name}
                      onDrop={() =>
                        onChange(drop(p.name, dropSQL('policy', qualified(table), p.name), 'No row is lost.'))
                      }
                    />
                  </Td>
                )}
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
      <Foot show={changes} label="Add policy" onAdd={() => onChange({ form: 'add policy' })} />
    </>
  )
}

function Definition({ branch, table }: { branch: Branch; table: TableStructure }) {
  const name = qualified(table)
  const { data, error } = useQuery({
    queryKey: ['structure', branch.id, name, 'sql'],
    staleTime: 10_000,
    queryFn: ({ signal }) => structure.sql({ project: branch.project, branch: branch.name }, name, signal),
  })
  if (error) return <ErrorNotice error={error} className="m-3" />
  if (data === undefined) return <Skeleton className="m-3 h-40" />
  const text = plainDump(data)
  return (
    <div className="p-3">
      <CopyButton text={text} label="Copy the SQL" />
      <pre data-testid="table-sql" className="mt-2 overflow-auto rounded-md bg-sunken p-3 text-2xs">
        {text}
      </pre>
    </div>
  )
}
