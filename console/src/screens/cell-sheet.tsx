import type { Where } from '@/api/sql'
import { bytes } from '@/lib/format'
import { CopyButton } from '@/ui/copy'
import { Sheet } from '@/ui/dialog'
import { type Peek, PeekRow } from './data-peek'

export type Cell = { name: string; type: string; text: string | null; peek?: Peek | null }

// More than this is slow to lay out; all of it can be copied.
const shown = 200_000

function pretty(cell: Cell): string {
  const text = cell.text ?? ''
  if (!/^jsonb?$/.test(cell.type) || text.length > shown) return text
  return indentJSON(text)
}

/** Lays JSON out over lines without reading its values: no number of it changes. */
export function indentJSON(text: string): string {
  let out = ''
  let depth = 0
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string
    if (quoted) {
      out += c
      if (c === '\\') out += text[++i] ?? ''
      else if (c === '"') quoted = false
    } else if (c === '"') {
      quoted = true
      out += c
    } else if (c === '{' || c === '[') {
      const end = /^\s*[}\]]/.exec(text.slice(i + 1, i + 64))
      if (end) {
        out += c + end[0].trim()
        i += end[0].length
      } else out += `${c}\n${'  '.repeat(++depth)}`
    } else if (c === '}' || c === ']') out += `\n${'  '.repeat(Math.max(0, --depth))}${c}`
    else if (c === ',') out += `,\n${'  '.repeat(depth)}`
    else if (c === ':') out += ': '
    else if (!/\s/.test(c)) out += c
  }
  return out
}

/** The whole value of one cell, and the row that it points to. */
export function CellSheet({ cell, where, onClose }: { cell: Cell | null; where?: Where; onClose: () => void }) {
  const text = cell ? pretty(cell) : ''
  return (
    <Sheet
      open={cell !== null}
      onOpenChange={(open) => !open && onClose()}
      title={cell?.name ?? ''}
      description={cell && `${cell.type} · ${cell.text === null ? 'NULL' : bytes(new Blob([cell.text]).size)}`}
    >
      {cell && (
        <div className="flex flex-col gap-3">
          {cell.text !== null && (
            <CopyButton text={cell.text} label="Copy the value" className="self-start">
              Copy
            </CopyButton>
          )}
          <pre
            data-testid="cell-value"
            className="overflow-x-auto whitespace-pre-wrap break-all rounded-lg border border-line bg-sunken p-3 text-xs"
          >
            {cell.text === null ? 'NULL' : text.slice(0, shown)}
          </pre>
          {text.length > shown && <p className="text-muted text-xs">The value is longer; copy it to have all of it.</p>}
          {cell.peek && where && <PeekRow where={where} peek={cell.peek} />}
        </div>
      )}
    </Sheet>
  )
}
