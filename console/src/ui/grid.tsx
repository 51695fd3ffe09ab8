import { useVirtualizer } from '@tanstack/react-virtual'
import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from 'react'
import { cn } from './cn'

export type GridColumn = { key: string; name: string; about: string; width?: number }

type Props = {
  label: string
  columns: GridColumn[]
  rows: number
  /** What a cell holds: text, null for NULL, undefined for nothing. */
  value: (row: number, column: number) => string | null | undefined
  /** Further classes of a cell. */
  look?: (row: number, column: number) => string | undefined
  onOpen?: (row: number, column: number) => void
  /** What stands in a column's head beside its name. */
  head?: (column: number) => ReactNode
  /** What stands before each row; its width in pixels goes with it. */
  before?: { width: number; cell: (row: number) => ReactNode; head?: ReactNode }
  /** Called when the last rows come into sight. */
  onEnd?: () => void
  className?: string
}

const rowHeight = 30
const headHeight = 44
const standardWidth = 168
// What does not fit is not put into the page: a cell may hold megabytes.
const longest = 240

function Value({ text }: { text: string | null | undefined }) {
  if (text === undefined) return null
  if (text === null) return <span className="text-faint italic">NULL</span>
  if (text === '') return <span className="text-faint italic">empty</span>
  return text.slice(0, longest).replaceAll(/\r?\n/g, ' ⏎ ')
}

/**
 * A table of any height and width, of which only what is in sight is in the page. Arrow keys move between cells, Enter opens one.
 * Values are text and stay text.
 */
export function Grid({ label, columns, rows, value, look, onOpen, head, before, onEnd, className }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const [at, setAt] = useState({ row: 0, column: 0 })
  const lead = before?.width ?? 0
  const down = useVirtualizer({
    count: rows,
    getScrollElement: () => box.current,
    estimateSize: () => rowHeight,
    overscan: 8,
    scrollPaddingStart: headHeight,
  })
  const across = useVirtualizer({
    horizontal: true,
    count: columns.length,
    getScrollElement: () => box.current,
    estimateSize: (i) => columns[i]?.width ?? standardWidth,
    overscan: 3,
    scrollPaddingStart: lead,
  })
  // biome-ignore lint/correctness/useExhaustiveDependencies: other columns have other widths
  useEffect(() => across.measure(), [columns])
  const seen = down.getVirtualItems()
  const last = seen.at(-1)?.index ?? -1
  useEffect(() => {
    if (rows > 0 && last >= rows - 20) onEnd?.()
  }, [last, rows, onEnd])

  const move = (event: KeyboardEvent) => {
    // Keys that are typed into something inside of a cell are its own.
    if ((event.target as Element).closest('input, textarea, button, [role=checkbox]')) return
    const page = Math.max(1, Math.floor((box.current?.clientHeight ?? 0) / rowHeight) - 2)
    const steps: Record<string, [number, number]> = {
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
      PageUp: [-page, 0],
      PageDown: [page, 0],
    }
    const step = steps[event.key]
    if (step) {
      event.preventDefault()
      const row = Math.max(0, Math.min(rows - 1, at.row + step[0]))
      const column = Math.max(0, Math.min(columns.length - 1, at.column + step[1]))
      setAt({ row, column })
      down.scrollToIndex(row)
      across.scrollToIndex(column)
    } else if (event.key === 'Enter' && rows > 0) {
      event.preventDefault()
      onOpen?.(at.row, at.column)
    }
  }

  const width = across.getTotalSize() + lead
  return (
    // biome-ignore lint/a11y/useSemanticElements: a table of millions of rows cannot be one
    <div
      ref={box}
      role="grid"
      aria-label={label}
      aria-rowcount={rows + 1}
      aria-colcount={columns.length}
      tabIndex={0}
      onKeyDown={move}
      className={cn(
        'relative overflow-auto text-sm outline-none focus-visible:ring-2 focus-visible:ring-accent',
        className,
      )}
    >
      {/* biome-ignore lint/a11y/useFocusableInteractive: the grid itself has the focus */}
      {/* biome-ignore lint/a11y/useSemanticElements: as above */}
      <div role="row" className="sticky top-0 z-10 bg-sunken" style={{ width, height: headHeight }}>
        {before && (
          <div
            className="sticky left-0 z-10 grid h-full place-items-center border-line border-b bg-sunken"
            style={{ width: lead }}
          >
            {before.head}
          </div>
        )}
        {across.getVirtualItems().map((c) => {
          const column = columns[c.index]
          return (
            // biome-ignore lint/a11y/useFocusableInteractive: the grid itself has the focus
            // biome-ignore lint/a11y/useSemanticElements: as above
            <div
              key={c.key}
              role="columnheader"
              aria-colindex={c.index + 1}
              className="absolute top-0 flex h-full items-center gap-1 border-line border-r border-b px-2.5"
              style={{ left: c.start + lead, width: c.size }}
            >
              <div className="min-w-0 flex-1">
                <p className="truncate font-medium text-xs" title={column?.name}>
                  {column?.name}
                </p>
                <p className="truncate text-2xs text-faint">{column?.about}</p>
              </div>
              {head?.(c.index)}
            </div>
          )
        })}
      </div>
      <div className="relative" style={{ width, height: down.getTotalSize() }}>
        {seen.map((r) => (
          // biome-ignore lint/a11y/useFocusableInteractive: the grid itself has the focus
          // biome-ignore lint/a11y/useSemanticElements: as above
          <div
            key={r.key}
            role="row"
            aria-rowindex={r.index + 2}
            className="absolute left-0"
            style={{ top: r.start, width, height: r.size }}
          >
            {before && (
              <div
                className="sticky left-0 z-5 grid h-full place-items-center border-line border-b bg-panel"
                style={{ width: lead }}
              >
                {before.cell(r.index)}
              </div>
            )}
            {across.getVirtualItems().map((c) => (
              // biome-ignore lint/a11y/useKeyWithClickEvents: Enter opens the cell that the arrow keys chose
              // biome-ignore lint/a11y/useFocusableInteractive: the grid itself has the focus
              // biome-ignore lint/a11y/useSemanticElements: as above
              <div
                key={c.key}
                role="gridcell"
                aria-colindex={c.index + 1}
                aria-selected={at.row === r.index && at.column === c.index}
                onClick={() => setAt({ row: r.index, column: c.index })}
                onDoubleClick={() => onOpen?.(r.index, c.index)}
                className={cn(
                  'absolute top-0 h-full overflow-hidden text-ellipsis whitespace-pre border-line border-r border-b px-2.5 py-1 font-mono text-xs leading-5',
                  look?.(r.index, c.index),
                  at.row === r.index && at.column === c.index && 'outline-2 outline-accent -outline-offset-2',
                )}
                style={{ left: c.start + lead, width: c.size }}
              >
                <Value text={value(r.index, c.index)} />
              </div>
            ))}
          </div>
        ))}
      </div>
    </div>
  )
}
