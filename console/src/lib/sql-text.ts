/** A piece of a script: one statement with its place, without the semicolon. */
export type Statement = { from: number; to: number; text: string; words: string }

/** Quotes a name as an SQL identifier. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Quotes text as an SQL literal, whatever standard_conforming_strings says; null is NULL. */
export function literal(text: string | null): string {
  if (text === null) return 'NULL'
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted
}

/** Where what begins at the position ends, when it is a comment, a string or a quoted name; else the position itself. */
function skip(sql: string, at: number): number {
  const two = sql.slice(at, at + 2)
  if (two === '--') return lineEnd(sql, at)
  if (two === '/*') return commentEnd(sql, at)
  const char = sql[at]
  if (char === '"') return quoteEnd(sql, at, '"', false)
  if (char === "'") return quoteEnd(sql, at, "'", /[eE]/.test(sql[at - 1] ?? '') && !/\w/.test(sql[at - 2] ?? ''))
  if (char === '$' && !/\w/.test(sql[at - 1] ?? '')) {
    const tag = /^\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/.exec(sql.slice(at, at + 80))?.[0]
    if (tag === undefined) return at
    const end = sql.indexOf(tag, at + tag.length)
    return end < 0 ? sql.length : end + tag.length
  }
  return at
}

function lineEnd(sql: string, at: number): number {
  const end = sql.indexOf('\n', at)
  return end < 0 ? sql.length : end
}

/** Comments nest in PostgreSQL. */
function commentEnd(sql: string, at: number): number {
  let depth = 0
  for (let i = at; i < sql.length; i++) {
    const two = sql.slice(i, i + 2)
    if (two === '/*') {
      depth++
      i++
    } else if (two === '*/') {
      i++
      if (--depth === 0) return i + 1
    }
  }
  return sql.length
}

function quoteEnd(sql: string, at: number, quote: string, backslash: boolean): number {
  for (let i = at + 1; i < sql.length; i++) {
    if (backslash && sql[i] === '\\') i++
    else if (sql[i] === quote) {
      if (sql[i + 1] !== quote) return i + 1
      i++
    }
  }
  return sql.length
}

/** Cuts a script into its statements. The words of each are its text in capitals without comments and the content of quotes. */
export function statements(sql: string): Statement[] {
  const out: Statement[] = []
  let from = 0
  let words = ''
  const close = (to: number) => {
    if (words.trim() !== '') {
      const text = sql.slice(from, to)
      const lead = text.length - text.trimStart().length
      out.push({ from: from + lead, to, text: text.trim(), words: words.toUpperCase().replace(/\s+/g, ' ').trim() })
    }
    words = ''
  }
  for (let i = 0; i < sql.length; ) {
    const after = skip(sql, i)
    if (after > i) {
      words += /^["'$]/.test(sql[i] ?? '') ? ' _ ' : ' '
      i = after
    } else if (sql[i] === ';') {
      close(i)
      from = ++i
    } else words += sql[i++]
  }
  close(sql.length)
  return out
}

/** What a statement destroys, in words; null when it is not of the sort that surprises. */
export function destroys(statement: Statement): string | null {
  const { words } = statement
  if (/^DROP DATABASE\b/.test(words)) return 'drops a database'
  if (/^DROP\b/.test(words))
    return `drops ${/\bCASCADE\b/.test(words) ? 'something and everything that depends on it' : 'something for good'}`
  if (/^TRUNCATE\b/.test(words)) return 'deletes every row'
  if (/^ALTER TABLE\b.*\bDROP\b(?! (NOT NULL|DEFAULT|CONSTRAINT|IDENTITY|EXPRESSION))/.test(words))
    return 'drops a column with its values'
  // In front of what changes rows may stand only EXPLAIN, which runs it with ANALYZE, and what WITH names.
  const begins = /^EXPLAIN\b(?=.*\bANALY[SZ]E\b).*?\b(?=DELETE FROM\b|UPDATE\b)/.exec(words)?.[0].length ?? 0
  const changes = /^WITH\b/.test(words) ? /[()] ?(DELETE FROM|UPDATE)\b/g : /^(DELETE FROM|UPDATE)\b/g
  for (const change of words.slice(begins).matchAll(changes)) {
    if (/\bWHERE\b/.test(outside(words.slice(begins + change.index + (change[0].length - (change[1] ?? '').length)))))
      continue
    return change[1] === 'UPDATE' ? 'changes every row: it has no WHERE' : 'deletes every row: it has no WHERE'
  }
  return null
}

/** What stands outside of parentheses, up to one that closes what was opened before. */
function outside(words: string): string {
  let depth = 0
  let out = ''
  for (const char of words) {
    if (char === '(') depth++
    else if (char === ')' && --depth < 0) break
    else if (depth === 0) out += char
  }
  return out
}

/** Whether a statement can do no more than read, as far as its first word tells. The server decides. */
export function onlyReads(statement: Statement): boolean {
  return /^(SELECT|TABLE|VALUES|SHOW|EXPLAIN|WITH)\b/.test(statement.words)
}
