import { useState } from 'react'
import type { Where } from '@/api/sql'
import type { TableColumn, Value } from '@/lib/table-sql'
import { Button } from '@/ui/button'
import { Dialog } from '@/ui/dialog'
import { Checkbox } from '@/ui/field'
import { ValueEditor } from './data-editors'
import { type Peek, PeekRow } from './data-peek'

export type Editing = { row: number; column: TableColumn; text: Value; peek: Peek | null }

type Props = {
  where: Where
  editing: Editing
  onClose: () => void
  onStage: (row: number, column: string, text: Value) => void
}

/** Changes one value, as PostgreSQL's text: no number and no moment passes through JavaScript's own. */
export function ValueDialog({ where, editing, onClose, onStage }: Props) {
  const { column, row } = editing
  const [text, setText] = useState(editing.text ?? '')
  const [empty, setEmpty] = useState(editing.text === null)
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={column.name}
      description={column.type}
      className="max-w-xl"
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button variant="primary" onClick={() => onStage(row, column.name, empty ? null : text)}>
            Set value
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-3">
        <ValueEditor
          column={column}
          text={text}
          empty={empty}
          onText={(t) => {
            setText(t)
            setEmpty(false)
          }}
        />
        {!column.required && <Checkbox checked={empty} onCheckedChange={setEmpty} label="NULL" />}
        {editing.peek && <PeekRow where={where} peek={editing.peek} />}
      </div>
    </Dialog>
  )
}
