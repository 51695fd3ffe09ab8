import { PostgreSQL } from '@codemirror/lang-sql'
import { highlightTree, tagHighlighter, tags } from '@lezer/highlight'
import { type ReactNode, useMemo } from 'react'
import { cn } from './cn'

// The same colours as those of the editor.
const colours = tagHighlighter([
  { tag: [tags.keyword, tags.operatorKeyword, tags.bool, tags.null], class: 'text-accent font-medium' },
  { tag: [tags.string, tags.special(tags.string)], class: 'text-development' },
  { tag: [tags.number], class: 'text-preview' },
  { tag: [tags.typeName, tags.standard(tags.name)], class: 'text-warn' },
  { tag: [tags.comment], class: 'text-faint italic' },
])

// What is longer takes long to colour and is not read to its end.
const longest = 50_000

/** SQL to be read. */
export default function SQLCode({ sql, className }: { sql: string; className?: string }) {
  const parts = useMemo(() => {
    if (sql.length > longest) return sql
    const out: ReactNode[] = []
    let at = 0
    highlightTree(PostgreSQL.language.parser.parse(sql), colours, (from, to, style) => {
      if (from > at) out.push(sql.slice(at, from))
      out.push(
        <span key={from} className={style}>
          {sql.slice(from, to)}
        </span>,
      )
      at = to
    })
    out.push(sql.slice(at))
    return out
  }, [sql])
  return (
    <pre className={cn('overflow-x-auto whitespace-pre-wrap break-words font-mono text-xs leading-5', className)}>
      {parts}
    </pre>
  )
}
