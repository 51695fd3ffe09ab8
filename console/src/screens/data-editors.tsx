import { ArrowDownToLine, Plus, Upload, X } from 'lucide-react'
import { useRef, useState } from 'react'
import { arrayText, type Element, readArray } from '@/lib/array-text'
import { save } from '@/lib/export'
import { bytes } from '@/lib/format'
import { momentText, readMoment } from '@/lib/moment-text'
import type { TableColumn } from '@/lib/table-sql'
import { Button } from '@/ui/button'
import { control, Field, Input, Select } from '@/ui/field'
import { indentJSON } from './cell-sheet'

type Props = { column: TableColumn; text: string; empty: boolean; onText: (text: string) => void }

/** The editor that fits a column's type. All of them change PostgreSQL's text, and nothing else. */
export function ValueEditor(props: Props) {
  const { column, text, empty } = props
  const choices = column.choices ?? (column.type === 'boolean' ? ['t', 'f'] : null)
  if (choices) return <Choice {...props} choices={choices} />
  if (column.type.endsWith('[]') && (empty || readArray(text))) return <ArrayEditor {...props} />
  if (/^jsonb?$/.test(column.type)) return <JSONEditor {...props} />
  if (column.type === 'bytea') return <BytesEditor {...props} />
  if (/^(date|timestamp)/.test(column.type) && (empty || text === '' || readMoment(text)))
    return <MomentEditor {...props} />
  return <TextEditor {...props} />
}

function Choice({ text, onText, choices }: Props & { choices: string[] }) {
  return (
    <Field label="Value">
      {(ids) => (
        <Select
          {...ids}
          value={text}
          onValueChange={onText}
          options={choices.filter((c) => c !== '').map((c) => ({ value: c, label: c }))}
        />
      )}
    </Field>
  )
}

function TextEditor({ column, text, empty, onText }: Props) {
  const long = /^(text|character varying|xml|citext)/.test(column.type) || text.length > 80 || text.includes('\n')
  return (
    <Field label="Value" hint={long && text !== '' ? `${text.length} characters` : undefined}>
      {(ids) => (
        <textarea
          {...ids}
          value={empty ? '' : text}
          placeholder={empty ? 'NULL' : ''}
          rows={text.length > 80 || text.includes('\n') ? 14 : long ? 5 : 2}
          spellCheck={false}
          className={`${control} h-auto py-1.5 font-mono`}
          onChange={(e) => onText(e.target.value)}
        />
      )}
    </Field>
  )
}

// Beyond this a check at each key would be felt.
const checked = 1_000_000

function JSONEditor({ text, empty, onText }: Props) {
  let wrong: string | undefined
  if (!empty && text !== '' && text.length <= checked) {
    try {
      JSON.parse(text)
    } catch (thrown) {
      wrong = thrown instanceof Error ? thrown.message : String(thrown)
    }
  }
  return (
    <div className="flex flex-col gap-2">
      <Field label="Value" error={wrong} hint={bytes(new Blob([text]).size)}>
        {(ids) => (
          <textarea
            {...ids}
            value={empty ? '' : text}
            placeholder={empty ? 'NULL' : ''}
            rows={16}
            spellCheck={false}
            className={`${control} h-auto py-1.5 font-mono text-xs`}
            onChange={(e) => onText(e.target.value)}
          />
        )}
      </Field>
      <Button className="self-start" disabled={empty || wrong !== undefined} onClick={() => onText(indentJSON(text))}>
        Lay out over lines
      </Button>
    </div>
  )
}

function MomentEditor({ column, text, empty, onText }: Props) {
  const known = (empty ? null : readMoment(text)) ?? { date: '', time: '', zone: '' }
  const [parts, setParts] = useState(known)
  const hasTime = column.type.startsWith('timestamp')
  const hasZone = column.type.includes('with time zone')
  const set = (change: Partial<typeof parts>) => {
    const next = { ...parts, ...change }
    // A date alone is the beginning of its day; written out, so that what is saved is what is seen.
    if (hasTime && next.time === '') next.time = '00:00:00'
    setParts(next)
    onText(next.date === '' ? '' : momentText(next))
  }
  return (
    <div className="flex flex-col gap-2">
      <div className="flex flex-wrap gap-2">
        <Field label="Date">
          {(ids) => (
            <Input
              {...ids}
              type="date"
              value={parts.date}
              onChange={(e) => set({ date: e.target.value })}
              className="w-40"
            />
          )}
        </Field>
        {hasTime && (
          <Field label="Time">
            {(ids) => (
              <Input {...ids} value={parts.time} onChange={(e) => set({ time: e.target.value })} className="w-40" />
            )}
          </Field>
        )}
        {hasZone && (
          <Field label="Zone">
            {(ids) => (
              <Input
                {...ids}
                value={parts.zone}
                placeholder="+01, Europe/Berlin"
                onChange={(e) => set({ zone: e.target.value })}
                className="w-44"
              />
            )}
          </Field>
        )}
      </div>
      <p className="text-faint text-xs">
        {empty || parts.date === '' ? 'No date yet.' : momentText(parts)}
        {hasZone && parts.date !== '' && parts.zone === '' && ' Without a zone it is taken in that of the database.'}
      </p>
    </div>
  )
}

function ArrayEditor({ text, empty, onText }: Props) {
  const elements = (empty ? null : readArray(text)) ?? []
  const set = (next: Element[]) => onText(arrayText(next))
  return (
    <fieldset className="flex flex-col gap-1.5">
      <legend className="mb-1.5 font-medium text-sm">Elements ({elements.length})</legend>
      <div className="flex max-h-[50dvh] flex-col gap-1.5 overflow-y-auto p-0.5">
        {elements.map((element, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: elements have no other identity than their place
          <div key={i} className="flex items-center gap-1.5">
            <Input
              aria-label={`Element ${i + 1}`}
              value={element ?? ''}
              placeholder={element === null ? 'NULL' : ''}
              onChange={(e) => set(elements.map((x, j) => (j === i ? e.target.value : x)))}
              className="font-mono"
            />
            <Button
              size="sm"
              aria-pressed={element === null}
              onClick={() => set(elements.map((x, j) => (j === i ? (x === null ? '' : null) : x)))}
            >
              NULL
            </Button>
            <Button
              variant="ghost"
              size="icon-sm"
              aria-label={`Remove element ${i + 1}`}
              onClick={() => set(elements.filter((_, j) => j !== i))}
            >
              <X />
            </Button>
          </div>
        ))}
      </div>
      <Button className="self-start" onClick={() => set([...elements, ''])}>
        <Plus /> Add element
      </Button>
    </fieldset>
  )
}

const mostBytes = 8 << 20

/** The hexadecimal text of a file's bytes. */
function hexOf(content: Uint8Array): string {
  return `\\x${Array.from(content, (n) => n.toString(16).padStart(2, '0')).join('')}`
}

function BytesEditor({ column, text, empty, onText }: Props) {
  const file = useRef<HTMLInputElement>(null)
  const [wrong, setWrong] = useState<string>()
  const valid = empty || /^\\x(?:[0-9a-fA-F]{2})*$/.test(text)
  const take = async (chosen: File | undefined) => {
    if (!chosen) return
    setWrong(chosen.size > mostBytes ? `A file of at most ${bytes(mostBytes)} fits here.` : undefined)
    if (chosen.size <= mostBytes) onText(hexOf(new Uint8Array(await chosen.arrayBuffer())))
  }
  const download = () => {
    const pairs = text.slice(2).match(/../g) ?? []
    save(
      column.name,
      'application/octet-stream',
      Uint8Array.from(pairs, (p) => Number.parseInt(p, 16)),
    )
  }
  return (
    <div className="flex flex-col gap-2">
      <Field
        label="Bytes, in hexadecimal"
        error={wrong ?? (valid ? undefined : 'It is \\x and then two digits for each byte.')}
        hint={empty ? undefined : bytes(Math.max(0, (text.length - 2) / 2))}
      >
        {(ids) => (
          <textarea
            {...ids}
            value={empty ? '' : text}
            placeholder={empty ? 'NULL' : ''}
            rows={8}
            spellCheck={false}
            className={`${control} h-auto break-all py-1.5 font-mono text-xs`}
            onChange={(e) => onText(e.target.value)}
          />
        )}
      </Field>
      <div className="flex gap-2">
        <input ref={file} type="file" hidden aria-label="File" onChange={(e) => take(e.target.files?.[0])} />
        <Button onClick={() => file.current?.click()}>
          <Upload /> Take a file…
        </Button>
        <Button disabled={empty || !valid} onClick={download}>
          <ArrowDownToLine /> Save as a file
        </Button>
      </div>
    </div>
  )
}
