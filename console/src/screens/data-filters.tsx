import { ArrowDown, ArrowUp, ArrowUpDown, X } from 'lucide-react'
import { useState } from 'react'
import type { Filter, Operator, Sort, Table } from '@/lib/table-sql'
import { Button } from '@/ui/button'
import { Input, Select } from '@/ui/field'

const operators: { value: Operator; label: string }[] = [
  { value: '=', label: 'is' },
  { value: '<>', label: 'is not' },
  { value: 'contains', label: 'contains' },
  { value: 'not contains', label: 'lacks' },
  { value: 'begins', label: 'begins with' },
  { value: 'in', label: 'is one of' },
  { value: '<', label: '<' },
  { value: '<=', label: '≤' },
  { value: '>', label: '>' },
  { value: '>=', label: '≥' },
  { value: 'null', label: 'is NULL' },
  { value: 'not null', label: 'is not NULL' },
]

/** What rows must be like to be shown. */
export function FilterBar({
  table,
  filters,
  onChange,
}: {
  table: Table
  filters: Filter[]
  onChange: (f: Filter[]) => void
}) {
  const [column, setColumn] = useState(table.columns[0]?.name ?? '')
  const [operator, setOperator] = useState<Operator>('=')
  const [value, setValue] = useState('')
  return (
    <form
      className="flex flex-wrap items-center gap-1.5"
      onSubmit={(event) => {
        event.preventDefault()
        onChange([...filters, { column, operator, value }])
        setValue('')
      }}
    >
      <select
        aria-label="Filter by column"
        value={column}
        onChange={(e) => setColumn(e.target.value)}
        className="h-8 max-w-40 rounded-md border border-line-strong bg-panel px-2 text-sm"
      >
        {table.columns.map((c) => (
          <option key={c.name}>{c.name}</option>
        ))}
      </select>
      <Select
        aria-label="Comparison"
        value={operator}
        onValueChange={(o) => setOperator(o as Operator)}
        options={operators}
        className="w-28"
      />
      {!operator.endsWith('null') && (
        <Input
          aria-label="Filter value"
          value={value}
          placeholder={operator === 'in' ? 'a, b, c' : undefined}
          onChange={(e) => setValue(e.target.value)}
          className="w-36"
        />
      )}
      <Button type="submit">Filter</Button>
      {filters.map((f, i) => (
        <Button
          // biome-ignore lint/suspicious/noArrayIndexKey: filters have no other identity than their order
          key={i}
          size="sm"
          aria-label={`Remove the filter on ${f.column}`}
          onClick={() => onChange(filters.filter((_, j) => j !== i))}
        >
          {f.column} {operators.find((o) => o.value === f.operator)?.label} {f.value.slice(0, 24)} <X />
        </Button>
      ))}
    </form>
  )
}

/** Sorts by a column: up, down, not at all. With Shift it comes behind those that are sorted by already. */
export function SortButton({ name, sorts, onSort }: { name: string; sorts: Sort[]; onSort: (s: Sort[]) => void }) {
  const place = sorts.findIndex((s) => s.column === name)
  const here = sorts[place]
  const Icon = here ? (here.down ? ArrowDown : ArrowUp) : ArrowUpDown
  const next = here?.down ? [] : [{ column: name, down: here !== undefined }]
  const told = here ? (here.down ? ', descending' : ', ascending') : ''
  return (
    <button
      type="button"
      aria-label={`Sort by ${name}${told}`}
      title="With Shift: by several columns"
      className="flex items-center text-2xs text-faint hover:text-text"
      onClick={(event) => {
        if (!event.shiftKey) return onSort(next)
        onSort(here ? sorts.flatMap((s) => (s.column === name ? next : [s])) : [...sorts, ...next])
      }}
    >
      <Icon className="size-3.5" aria-hidden />
      {sorts.length > 1 && here && place + 1}
    </button>
  )
}
