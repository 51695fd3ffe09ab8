import { useState } from 'react'
import type { TableColumn, Value } from '@/lib/table-sql'
import { Button } from '@/ui/button'
import { Dialog } from '@/ui/dialog'
import { Checkbox, control, Field, Select } from '@/ui/field'

export type Editing = { row: number; column: TableColumn; text: Value }

type Props = { editing: Editing; onClose: () => void; onStage: (row: number, column: string, text: Value) => void }

/** Changes one value, as PostgreSQL's text: no number and no moment passes through JavaScript's own. */
export function ValueDialog({ editing, onClose, onStage }: Props) {
  const { column, row } = editing
  const [text, setText] = useState(editing.text ?? '')
  const [empty, setEmpty] = useState(editing.text === null)
  const choices = column.choices ?? (column.type === 'boolean' ? ['t', 'f'] : null)
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={column.name}
      description={column.type}
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
        <Field label="Value">
          {(ids) =>
            choices ? (
              <Select
                {...ids}
                value={text}
                onValueChange={(t) => {
                  setText(t)
                  setEmpty(false)
                }}
                options={choices.filter((c) => c !== '').map((c) => ({ value: c, label: c }))}
              />
            ) : (
              <textarea
                {...ids}
                value={empty ? '' : text}
                placeholder={empty ? 'NULL' : ''}
                rows={text.length > 80 || text.includes('\n') ? 10 : 3}
                spellCheck={false}
                className={`${control} h-auto py-1.5 font-mono`}
                onChange={(e) => {
                  setText(e.target.value)
                  setEmpty(false)
                }}
              />
            )
          }
        </Field>
        {!column.required && <Checkbox checked={empty} onCheckedChange={setEmpty} label="NULL" />}
      </div>
    </Dialog>
  )
}
