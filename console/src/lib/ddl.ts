import { identifier, literal, statements } from './sql-text'

/** A column as a form describes it. Its type and its default are SQL as they were typed. */
export type ColumnForm = {
  name: string
  type: string
  required: boolean
  default: string
  key: boolean
}

export const plainColumn: ColumnForm = { name: '', type: 'text', required: false, default: '', key: false }

const list = (names: string[]) => names.map(identifier).join(', ')

function columnSQL(c: ColumnForm): string {
  return [
    identifier(c.name.trim()),
    c.type.trim(),
    ...(c.required && !c.key ? ['NOT NULL'] : []),
    ...(c.default.trim() !== '' ? [identity(c.default) ?? `DEFAULT ${c.default.trim()}`] : []),
  ].join(' ')
}

/** Identity is no default to PostgreSQL, but stands in its place. */
function identity(text: string): string | null {
  return /^\s*generated\s/i.test(text) ? text.trim() : null
}

export function createTableSQL(schema: string, name: string, columns: ColumnForm[], comment: string): string {
  const table = `${identifier(schema)}.${identifier(name)}`
  const key = columns.filter((c) => c.key).map((c) => c.name.trim())
  const lines = columns.map((c) => `  ${columnSQL(c)}`)
  if (key.length > 0) lines.push(`  PRIMARY KEY (${list(key)})`)
  const made = `CREATE TABLE ${table} (${lines.length > 0 ? `\n${lines.join(',\n')}\n` : ''});`
  return comment.trim() === '' ? made : `${made}\nCOMMENT ON TABLE ${table} IS ${literal(comment.trim())};`
}

export function addColumnSQL(table: string, c: ColumnForm): string {
  const parts = [`ALTER TABLE ${table} ADD COLUMN ${columnSQL(c)}`]
  if (c.key) parts[0] += ' PRIMARY KEY'
  return `${parts[0]};`
}

/** A column as it is. */
export type ColumnIs = { name: string; type: string; required: boolean; default: string; comment: string }
/** And as it shall be; using says how values become those of another type. */
export type ColumnShall = ColumnIs & { using: string }

/** The statements that make a column what it shall be, the new name last. */
export function alterColumnSQL(table: string, is: ColumnIs, shall: ColumnShall): string {
  const column = identifier(is.name)
  const out: string[] = []
  const alter = (what: string) => out.push(`ALTER TABLE ${table} ALTER COLUMN ${column} ${what};`)
  const retyped = shall.type.trim() !== is.type
  const redefaulted = shall.default.trim() !== is.default
  // A default may not fit the new type, and the old one must not stand in the way.
  if (is.default !== '' && redefaulted) alter('DROP DEFAULT')
  if (retyped) {
    const using = shall.using.trim() === '' ? '' : ` USING ${shall.using.trim()}`
    alter(`TYPE ${shall.type.trim()}${using}`)
  }
  if (shall.default.trim() !== '' && redefaulted) alter(`SET DEFAULT ${shall.default.trim()}`)
  if (shall.required !== is.required) alter(shall.required ? 'SET NOT NULL' : 'DROP NOT NULL')
  if (shall.comment !== is.comment)
    out.push(`COMMENT ON COLUMN ${table}.${column} IS ${shall.comment === '' ? 'NULL' : literal(shall.comment)};`)
  if (shall.name.trim() !== is.name)
    out.push(`ALTER TABLE ${table} RENAME COLUMN ${column} TO ${identifier(shall.name.trim())};`)
  return out.join('\n')
}

export type ConstraintForm =
  | { kind: 'primary key' | 'unique'; name: string; columns: string[] }
  | { kind: 'check'; name: string; expression: string }
  | {
      kind: 'foreign key'
      name: string
      columns: string[]
      /** As in SQL. */
      table: string
      targets: string[]
      onDelete: string
    }

export function addConstraintSQL(table: string, c: ConstraintForm): string {
  const name = c.name.trim() === '' ? '' : `CONSTRAINT ${identifier(c.name.trim())} `
  return `ALTER TABLE ${table} ADD ${name}${definition(c)};`
}

function definition(c: ConstraintForm): string {
  if (c.kind === 'check') return `CHECK (${c.expression.trim()})`
  if (c.kind !== 'foreign key') return `${c.kind.toUpperCase()} (${list(c.columns)})`
  const deleted = c.onDelete === 'NO ACTION' ? '' : ` ON DELETE ${c.onDelete}`
  return `FOREIGN KEY (${list(c.columns)}) REFERENCES ${c.table} (${list(c.targets)})${deleted}`
}

export type IndexForm = { name: string; columns: string[]; unique: boolean; method: string; where: string }

export function createIndexSQL(table: string, i: IndexForm): string {
  const name = i.name.trim() === '' ? '' : ` ${identifier(i.name.trim())}`
  const method = i.method === 'btree' ? '' : ` USING ${i.method}`
  const where = i.where.trim() === '' ? '' : ` WHERE ${i.where.trim()}`
  return `CREATE ${i.unique ? 'UNIQUE ' : ''}INDEX${name} ON ${table}${method} (${list(i.columns)})${where};`
}

export type PolicyForm = {
  name: string
  command: string
  permissive: boolean
  role: string
  using: string
  check: string
}

export function createPolicySQL(table: string, p: PolicyForm): string {
  return [
    `CREATE POLICY ${identifier(p.name.trim())} ON ${table}`,
    ...(p.permissive ? [] : ['AS RESTRICTIVE']),
    `FOR ${p.command.toUpperCase()}`,
    ...(p.role.trim() === '' || p.role.trim() === 'public' ? [] : [`TO ${identifier(p.role.trim())}`]),
    // An insert has no row that could be seen, and what is only read or deleted none that is written.
    ...(p.using.trim() !== '' && p.command !== 'insert' ? [`USING (${p.using.trim()})`] : []),
    ...(p.check.trim() !== '' && !['select', 'delete'].includes(p.command) ? [`WITH CHECK (${p.check.trim()})`] : []),
  ]
    .join(' ')
    .concat(';')
}

/** Drops something that belongs to a table, or the table. */
export function dropSQL(what: 'column' | 'constraint' | 'trigger' | 'policy', table: string, name: string): string {
  if (what === 'trigger' || what === 'policy') return `DROP ${what.toUpperCase()} ${identifier(name)} ON ${table};`
  return `ALTER TABLE ${table} DROP ${what.toUpperCase()} ${identifier(name)};`
}

export function dropIndexSQL(schema: string, name: string): string {
  return `DROP INDEX ${identifier(schema)}.${identifier(name)};`
}

export function triggerSQL(table: string, name: string, enabled: boolean): string {
  return `ALTER TABLE ${table} ${enabled ? 'ENABLE' : 'DISABLE'} TRIGGER ${identifier(name)};`
}

export function rowSecuritySQL(table: string, on: boolean): string {
  return `ALTER TABLE ${table} ${on ? 'ENABLE' : 'DISABLE'} ROW LEVEL SECURITY;`
}

/** What DROP and ALTER call a relation of a kind. */
function word(kind: string): string {
  return kind === 'partitioned table' ? 'TABLE' : kind.toUpperCase()
}

export function dropTableSQL(kind: string, table: string): string {
  return `DROP ${word(kind)} ${table};`
}

export function alterTableSQL(
  kind: string,
  schema: string,
  is: { name: string; comment: string },
  shall: { name: string; comment: string },
): string {
  const table = `${identifier(schema)}.${identifier(is.name)}`
  const out: string[] = []
  if (shall.comment !== is.comment)
    out.push(`COMMENT ON ${word(kind)} ${table} IS ${shall.comment === '' ? 'NULL' : literal(shall.comment)};`)
  if (shall.name.trim() !== is.name)
    out.push(`ALTER ${word(kind)} ${table} RENAME TO ${identifier(shall.name.trim())};`)
  return out.join('\n')
}

/** Runs as a whole or not at all. */
export function asOne(sql: string): string {
  return statements(sql).length > 1 ? `BEGIN;\n${sql}\nCOMMIT;` : sql
}

/** The statements of a dump without what pg_dump writes around them. */
export function plainDump(text: string): string {
  const begin = text.search(/^(CREATE|ALTER|COMMENT) /m)
  if (begin < 0) return text.trim()
  const end = text.lastIndexOf('\n--\n-- PostgreSQL database dump complete')
  return text
    .slice(begin, end < begin ? undefined : end)
    .replaceAll(/^SET default_table_access_method = .*;\n+/gm, '')
    .trim()
}
