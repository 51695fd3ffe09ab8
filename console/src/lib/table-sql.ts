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
}

export type Value = string | null
export type Operator = '=' | '<>' | '<' | '<=' | '>' | '>=' | 'contains' | 'null' | 'not null'
export type Filter = { column: string; operator: Operator; value: string }
export type Sort = { column: string; down: boolean }

export const pageRows = 200

export function qualified(t: Pick<Table, 'schema' | 'name'>): string {
  return `${identifier(t.schema)}.${identifier(t.name)}`
}

function condition(f: Filter): string {
  const column = identifier(f.column)
  if (f.operator === 'null') return `${column} IS NULL`
  if (f.operator === 'not null') return `${column} IS NOT NULL`
  if (f.operator !== 'contains') return `${column} ${f.operator} ${literal(f.value)}`
  const pattern = `%${f.value.replaceAll(/[\\%_]/g, '\\$&')}%`
  return `${column}::text ILIKE ${literal(pattern)}`
}

/** By what rows are told apart in the order of a page: the key, or where the row lies when there is none. */
function placeOf(t: Table): string[] {
  if (t.key.length > 0) return t.key.map(identifier)
  return t.kind === 'r' || t.kind === 'm' ? ['ctid'] : []
}

/** What follows the last row of a page, so that the next page costs as little as the first one wherever it is. */
function after(t: Table, sort: Sort | null, last: Value[]): string {
  const places = placeOf(t)
  const place = last.slice(0, places.length).map((v, i) => (places[i] === 'ctid' ? `${literal(v)}::tid` : literal(v)))
  const beyond = `(${places.join(', ')}) > (${place.join(', ')})`
  if (!sort) return beyond
  const column = identifier(sort.column)
  const value = last[places.length] ?? null
  if (value === null)
    return sort.down ? `(${column} IS NULL AND ${beyond} OR ${column} IS NOT NULL)` : `${column} IS NULL AND ${beyond}`
  const same = `${column} = ${literal(value)} AND ${beyond}`
  if (sort.down) return `(${column} < ${literal(value)} OR ${same})`
  return `(${column} > ${literal(value)} OR ${same} OR ${column} IS NULL)`
}

/**
 * A page of a table. Its first columns are hidden: those that tell where the row stands, and the one that is sorted by; then come
 * the table's own. last are the hidden values of the row before; null for the first page.
 */
export function pageSQL(t: Table, filters: Filter[], sort: Sort | null, last: Value[] | null, skip: number): string {
  const places = placeOf(t)
  const hidden = [...places, ...(sort ? [identifier(sort.column)] : [])]
  const conditions = filters.map(condition)
  const keyset = places.length > 0
  if (last && keyset) conditions.push(after(t, sort, last))
  const order = [...(sort ? [`${identifier(sort.column)} ${sort.down ? 'DESC' : 'ASC'}`] : []), ...places]
  return [
    `SELECT ${[...hidden, ...t.columns.map((c) => identifier(c.name))].join(', ') || 'NULL'}`,
    `FROM ${qualified(t)}`,
    ...(conditions.length > 0 ? [`WHERE ${conditions.join(' AND ')}`] : []),
    ...(order.length > 0 ? [`ORDER BY ${order.join(', ')}`] : []),
    `LIMIT ${pageRows}`,
    ...(!keyset && skip > 0 ? [`OFFSET ${skip}`] : []),
  ].join('\n')
}

/** How many columns stand before the table's own in a page. */
export function hiddenColumns(t: Table, sort: Sort | null): number {
  return placeOf(t).length + (sort ? 1 : 0)
}

/** Changes that are not saved yet. Rows are as they were read: one value for each of the table's columns. */
export type Change =
  | { kind: 'update'; row: Value[]; set: Record<string, Value> }
  | { kind: 'delete'; row: Value[] }
  | { kind: 'insert'; set: Record<string, Value> }

function keyed(t: Table, row: Value[]): string {
  return t.key.map((name) => `${identifier(name)} = ${literal(textOf(t, row, name))}`).join(' AND ')
}

function textOf(t: Table, row: Value[], name: string): Value {
  return row[t.columns.findIndex((c) => c.name === name)] ?? null
}

/** The condition that columns still have the values that were read, as text: not every type has an equality. */
function unchanged(t: Table, row: Value[], names: string[]): string {
  return names
    .map((name) => ` AND ${identifier(name)}::text IS NOT DISTINCT FROM ${literal(textOf(t, row, name))}`)
    .join('')
}

/** The statement of one change. It touches its row only in the state in which it was read. */
export function changeSQL(t: Table, change: Change): string {
  if (change.kind === 'insert') {
    const names = Object.keys(change.set)
    if (names.length === 0) return `INSERT INTO ${qualified(t)} DEFAULT VALUES`
    return `INSERT INTO ${qualified(t)} (${names.map(identifier).join(', ')}) OVERRIDING SYSTEM VALUE VALUES (${names.map((n) => literal(change.set[n] ?? null)).join(', ')})`
  }
  if (change.kind === 'delete') {
    const names = t.columns.filter((c) => !c.generated && !t.key.includes(c.name)).map((c) => c.name)
    return `DELETE FROM ${qualified(t)} WHERE ${keyed(t, change.row)}${unchanged(t, change.row, names)}`
  }
  const names = Object.keys(change.set)
  const sets = names.map((n) => `${identifier(n)} = ${literal(change.set[n] ?? null)}`)
  return `UPDATE ${qualified(t)} SET ${sets.join(', ')} WHERE ${keyed(t, change.row)}${unchanged(t, change.row, names)}`
}

/** The change that takes a saved one back; null for an inserted row, whose key only the server knows. */
function inverse(t: Table, change: Change): Change | null {
  if (change.kind === 'insert') return null
  if (change.kind === 'delete') {
    const stored = t.columns.flatMap((c, i) => (c.generated ? [] : [[c.name, change.row[i] ?? null] as const]))
    return { kind: 'insert', set: Object.fromEntries(stored) }
  }
  const now = t.columns.map((c, i) => (c.name in change.set ? (change.set[c.name] ?? null) : (change.row[i] ?? null)))
  const back = Object.fromEntries(Object.keys(change.set).map((n) => [n, textOf(t, change.row, n)]))
  return { kind: 'update', row: now, set: back }
}

/**
 * All changes as one statement, which therefore takes effect as a whole or not at all. When one of them finds no row as it was
 * read, it fails with 40001. A value cannot end the block: its tag stands in none of them.
 */
export function saveSQL(t: Table, changes: Change[]): string {
  const steps = changes.map((change) => {
    const statement = changeSQL(t, change)
    if (change.kind === 'insert') return `  ${statement};`
    const row = t.key.map((n) => `${n} ${textOf(t, change.row, n)}`).join(', ')
    return `  ${statement};
  GET DIAGNOSTICS touched = ROW_COUNT;
  IF touched <> 1 THEN
    RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = ${literal(`the row with ${row} was changed meanwhile`)}, HINT = 'Nothing was saved. Read the table again and look at what it is now.';
  END IF;`
  })
  const body = `\nDECLARE touched bigint;\nBEGIN\n${steps.join('\n')}\nEND\n`
  let tag = '$save$'
  for (let n = 1; body.includes(tag); n++) tag = `$save${n}$`
  return `DO ${tag}${body}${tag}`
}

/** What takes saved changes back, to be kept or run later. */
export function undoSQL(t: Table, changes: Change[]): string {
  const back = [...changes].reverse().flatMap((c) => inverse(t, c) ?? [])
  return back.length === 0 ? '' : saveSQL(t, back)
}

/** The tables of a database with their columns and keys. */
export const catalogueSQL = `SELECT n.nspname, c.relname, c.relkind, c.reltuples::bigint,
  (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'required', a.attnotnull,
      'generated', a.attgenerated <> '', 'default', a.atthasdef OR a.attidentity <> '',
      'choices', (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = a.atttypid)) ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT json_agg(a.attname ORDER BY k.at) FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, at), pg_attribute a
    WHERE i.indrelid = c.oid AND i.indisprimary AND k.at <= i.indnkeyatts AND a.attrelid = c.oid AND a.attnum = k.attnum)
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
  }
}
