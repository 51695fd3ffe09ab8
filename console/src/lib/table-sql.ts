import type { RowEdit } from '@/api/data'
import { identifier, literal } from './sql-text'

/** A column of a table as the catalogue tells it. */
export type TableColumn = {
  name: string
  type: string
  required: boolean
  generated: boolean
  default: boolean
  /** The values of an enumeration. */
  choices: string[] | null
}

/** What must be known of a table to show and change its rows. */
export type Table = {
  schema: string
  name: string
  /** As pg_class.relkind: r, p, v, m or f. */
  kind: string
  /** Rows as last estimated; below 0: never. */
  estimate: number
  columns: TableColumn[]
  /** The names of the primary key's columns; empty when there is none. */
  key: string[]
  links: Link[]
}

export type Value = string | null
/** A foreign key: which columns point to which row of another table. */
export type Link = { columns: string[]; schema: string; table: string; targets: string[] }
export type Operator =
  | '='
  | '<>'
  | '<'
  | '<='
  | '>'
  | '>='
  | 'contains'
  | 'not contains'
  | 'begins'
  | 'in'
  | 'null'
  | 'not null'
export type Filter = { column: string; operator: Operator; value: string }
export type Sort = { column: string; down: boolean }

/** How many rows are read first, and how many at a time afterwards. */
export const pageRows = 200
export const nextRows = 2000

export function qualified(t: Pick<Table, 'schema' | 'name'>): string {
  return `${identifier(t.schema)}.${identifier(t.name)}`
}

function condition(f: Filter): string {
  const column = identifier(f.column)
  if (f.operator === 'null') return `${column} IS NULL`
  if (f.operator === 'not null') return `${column} IS NOT NULL`
  const pattern = f.value.replaceAll(/[\\%_]/g, '\\$&')
  if (f.operator === 'contains') return `${column}::text ILIKE ${literal(`%${pattern}%`)}`
  if (f.operator === 'not contains')
    return `(${column}::text NOT ILIKE ${literal(`%${pattern}%`)} OR ${column} IS NULL)`
  if (f.operator === 'begins') return `${column}::text ILIKE ${literal(`${pattern}%`)}`
  if (f.operator === 'in') {
    const values = f.value.split(',').map((v) => literal(v.trim()))
    return `${column} IN (${values.join(', ')})`
  }
  return `${column} ${f.operator} ${literal(f.value)}`
}

/** By what rows are told apart in the order of a page: the key, or where the row lies when there is none. */
function placeOf(t: Table): string[] {
  if (t.key.length > 0) return t.key.map(identifier)
  return t.kind === 'r' || t.kind === 'm' ? ['ctid'] : []
}

/** The literal of a value that tells where a row stands. */
function placeLiteral(place: string, v: Value): string {
  return place === 'ctid' ? `${literal(v)}::tid` : literal(v)
}

/** What follows the last row of a page, so that the next page costs as little as the first one wherever it is. */
function after(t: Table, sorts: Sort[], last: Value[]): string {
  const places = placeOf(t)
  const place = last.slice(0, places.length).map((v, i) => placeLiteral(places[i] ?? '', v))
  let beyond = `(${places.join(', ')}) > (${place.join(', ')})`
  // From the last column that is sorted by to the first: further on in it, or the same in it and further on in those behind it.
  for (let i = sorts.length - 1; i >= 0; i--) {
    const sort = sorts[i] as Sort
    const column = identifier(sort.column)
    const value = last[places.length + i] ?? null
    if (value === null) {
      // Ascending, NULLs come last: nothing of another value follows.
      beyond = sort.down
        ? `(${column} IS NULL AND ${beyond} OR ${column} IS NOT NULL)`
        : `${column} IS NULL AND ${beyond}`
      continue
    }
    const same = `${column} = ${literal(value)} AND ${beyond}`
    beyond = sort.down
      ? `(${column} < ${literal(value)} OR ${same})`
      : `(${column} > ${literal(value)} OR ${same} OR ${column} IS NULL)`
  }
  return beyond
}

function orderOf(t: Table, sorts: Sort[]): string[] {
  const order = [...sorts.map((s) => `${identifier(s.column)} ${s.down ? 'DESC' : 'ASC'}`), ...placeOf(t)]
  return order.length > 0 ? [`ORDER BY ${order.join(', ')}`] : []
}

function whereOf(conditions: string[]): string[] {
  return conditions.length > 0 ? [`WHERE ${conditions.join(' AND ')}`] : []
}

/**
 * A page of a table. Its first columns are hidden: those that tell where the row stands, and those that are sorted by; then come
 * the table's own. last are the hidden values of the row before; null for the first page.
 */
export function pageSQL(
  t: Table,
  filters: Filter[],
  sorts: Sort[],
  last: Value[] | null,
  skip: number,
  most = pageRows,
): string {
  const places = placeOf(t)
  const hidden = [...places, ...sorts.map((s) => identifier(s.column))]
  const conditions = filters.map(condition)
  const keyset = places.length > 0
  if (last && keyset) conditions.push(after(t, sorts, last))
  return [
    `SELECT ${[...hidden, ...t.columns.map((c) => identifier(c.name))].join(', ') || 'NULL'}`,
    `FROM ${qualified(t)}`,
    ...whereOf(conditions),
    ...orderOf(t, sorts),
    `LIMIT ${most}`,
    ...(!keyset && skip > 0 ? [`OFFSET ${skip}`] : []),
  ].join('\n')
}

/** How many columns stand before the table's own in a page. */
export function hiddenColumns(t: Table, sorts: Sort[]): number {
  return placeOf(t).length + sorts.length
}

/** How many of those tell where the row stands; none where rows cannot be named one by one. */
export function placeColumns(t: Table): number {
  return placeOf(t).length
}

/** All rows that match, or those at the given places, with the columns that are shown. */
export function exportSQL(
  t: Table,
  columns: string[],
  filters: Filter[],
  sorts: Sort[],
  places: Value[][] | null,
): string {
  const conditions = filters.map(condition)
  const names = placeOf(t)
  if (places) {
    const one = (place: Value[]) => `(${names.map((n, i) => placeLiteral(n, place[i] ?? null)).join(', ')})`
    conditions.push(`(${names.join(', ')}) IN (${places.map(one).join(', ')})`)
  }
  return [
    `SELECT ${columns.map(identifier).join(', ') || 'NULL'}`,
    `FROM ${qualified(t)}`,
    ...whereOf(conditions),
    ...orderOf(t, sorts),
  ].join('\n')
}

/** The row that a foreign key points to. */
export function peekSQL(link: Link, values: Value[]): string {
  const conditions = link.targets.map((name, i) => `${identifier(name)} = ${literal(values[i] ?? null)}`)
  return `SELECT * FROM ${qualified({ schema: link.schema, name: link.table })} WHERE ${conditions.join(' AND ')} LIMIT 1`
}

/** Changes that are not saved yet. Rows are as they were read: one value for each of the table's columns. */
export type Change =
  | { kind: 'update'; row: Value[]; set: Record<string, Value> }
  | { kind: 'delete'; row: Value[] }
  | { kind: 'insert'; set: Record<string, Value> }

/** Longer values are not compared when a row is saved, unless they are changed: they would be sent for each row again. */
const longest = 10_000

/** The changes as the server takes them. Each tells the row as it was read, so that it is not saved over what became of it meanwhile. */
export function editsOf(t: Table, changes: Change[]): RowEdit[] {
  return changes.map((change): RowEdit => {
    if (change.kind === 'insert') return { kind: 'insert', table: qualified(t), set: change.set }
    const set = change.kind === 'update' ? change.set : {}
    const told = t.columns.flatMap((c, i): [string, Value][] => {
      const value = change.row[i] ?? null
      const needed = t.key.length === 0 ? !c.generated : t.key.includes(c.name) || c.name in set
      return needed || (!c.generated && (value?.length ?? 0) <= longest) ? [[c.name, value]] : []
    })
    const edit = { kind: change.kind, table: qualified(t), old: Object.fromEntries(told) }
    return change.kind === 'update' ? { ...edit, set } : edit
  })
}

/** The tables of a database with their columns and keys. */
export const catalogueSQL = `SELECT n.nspname, c.relname, c.relkind, c.reltuples::bigint,
  (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'required', a.attnotnull,
      'generated', a.attgenerated <> '', 'default', a.atthasdef OR a.attidentity <> '',
      'choices', (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = a.atttypid)) ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT json_agg(a.attname ORDER BY k.at) FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, at), pg_attribute a
    WHERE i.indrelid = c.oid AND i.indisprimary AND k.at <= i.indnkeyatts AND a.attrelid = c.oid AND a.attnum = k.attnum),
  (SELECT json_agg(json_build_object('columns', (SELECT json_agg(a.attname ORDER BY k.at) FROM unnest(f.conkey) WITH ORDINALITY AS k (attnum, at) JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum),
      'schema', tn.nspname, 'table', tc.relname,
      'targets', (SELECT json_agg(a.attname ORDER BY k.at) FROM unnest(f.confkey) WITH ORDINALITY AS k (attnum, at) JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum)) ORDER BY f.conname)
    FROM pg_constraint f JOIN pg_class tc ON tc.oid = f.confrelid JOIN pg_namespace tn ON tn.oid = tc.relnamespace WHERE f.conrelid = c.oid AND f.contype = 'f')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
ORDER BY n.nspname, c.relname`

/** Reads a row of the catalogue. */
export function readTable(row: Value[]): Table {
  return {
    schema: row[0] ?? '',
    name: row[1] ?? '',
    kind: row[2] ?? 'r',
    estimate: Number(row[3] ?? -1),
    columns: JSON.parse(row[4] ?? '[]') ?? [],
    key: JSON.parse(row[5] ?? '[]') ?? [],
    links: JSON.parse(row[6] ?? '[]') ?? [],
  }
}
