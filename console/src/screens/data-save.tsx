import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { data, type RowConflict, type RowEdit, type SavedRows } from '@/api/data'
import type { Branch } from '@/api/types'
import { Button } from '@/ui/button'
import { ProductionBar } from '@/ui/confirm'
import { CopyButton } from '@/ui/copy'
import { Dialog } from '@/ui/dialog'
import { ErrorNotice, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'

type Props = {
  branch: Branch
  edits: RowEdit[]
  sum: string
  onClose: () => void
  onSaved: (saved: SavedRows) => void
  /** Takes back what is staged and reads the table again. */
  onReread: () => void
}

/** Tries the changes, shows the SQL of each, and saves them as a whole. What changed meanwhile is shown then and now. */
export function SaveDialog({ branch, edits, sum, onClose, onSaved, onReread }: Props) {
  const production = branch.environment === 'production'
  const where = { project: branch.project, branch: branch.name }
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const [met, setMet] = useState<RowConflict[]>([])
  const trial = useQuery({
    queryKey: ['trial', branch.id, edits],
    queryFn: () => data.save(where, edits, true),
    retry: false,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  })
  const save = async () => {
    setBusy(true)
    setError(null)
    try {
      const saved = await data.save(where, edits, false)
      setMet(saved.conflicts)
      if (saved.saved) onSaved(saved)
    } catch (thrown) {
      setError(thrown)
    } finally {
      setBusy(false)
    }
  }
  const conflicts = met.length > 0 ? met : (trial.data?.conflicts ?? [])
  const sql = (trial.data?.changes ?? []).map((c) => `${c.sql};`).join('\n')
  const wrong = error ?? trial.error
  return (
    <Dialog
      open
      onOpenChange={(o) => !o && !busy && onClose()}
      title={`Save ${sum}?`}
      className="max-w-2xl"
      banner={production ? <ProductionBar /> : undefined}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            variant={production ? 'danger' : 'primary'}
            busy={busy}
            disabled={!trial.data || conflicts.length > 0}
            onClick={save}
          >
            Save
          </Button>
        </>
      }
    >
      <div className="flex max-h-[60dvh] flex-col gap-3 overflow-y-auto text-sm">
        {trial.isPending && <Skeleton className="h-24" />}
        {conflicts.length > 0 && <Conflicts conflicts={conflicts} edits={edits} onReread={onReread} />}
        {sql !== '' && conflicts.length === 0 && (
          <>
            <p className="text-muted">This is what runs, as a whole or not at all:</p>
            <pre data-testid="save-sql" className="max-h-72 overflow-auto rounded-md bg-sunken p-2 text-2xs">
              {sql.length > most ? `${sql.slice(0, most)}…` : sql}
            </pre>
            <CopyButton text={sql} label="Copy the SQL" className="self-start" />
          </>
        )}
        {wrong !== null && <ErrorNotice error={wrong} />}
      </div>
    </Dialog>
  )
}

const most = 100_000
const short = (v: string | null | undefined) => (v === null || v === undefined ? 'NULL' : v.slice(0, 200))

function Conflicts({
  conflicts,
  edits,
  onReread,
}: {
  conflicts: RowConflict[]
  edits: RowEdit[]
  onReread: () => void
}) {
  return (
    <div role="alert" className="flex flex-col gap-3 rounded-lg border border-production/30 bg-production-soft p-3">
      <p className="font-medium">Nothing was saved.</p>
      {conflicts.map((c) => (
        <div key={c.change} className="flex flex-col gap-1">
          <p>
            The row with {c.row}{' '}
            {c.gone ? 'is there no more' : c.alike ? 'is there several times' : 'was changed meanwhile'}.
            {c.alike && ' The table has no key that tells them apart: use SQL.'}
          </p>
          {c.now && (
            <Table>
              <thead>
                <tr>
                  <Th>Column</Th>
                  <Th>When you read it</Th>
                  <Th>Now</Th>
                  <Th>Yours</Th>
                </tr>
              </thead>
              <tbody>
                {Object.keys(c.now).map((name) => {
                  const set = edits[c.change]?.set
                  return (
                    <Tr key={name}>
                      <Td className="break-all">{name}</Td>
                      <Td className="break-all font-mono text-xs">{short(c.then?.[name])}</Td>
                      <Td className="break-all font-mono text-xs">{short(c.now?.[name])}</Td>
                      <Td className="break-all font-mono text-xs">{set && name in set ? short(set[name]) : '–'}</Td>
                    </Tr>
                  )
                })}
              </tbody>
            </Table>
          )}
        </div>
      ))}
      <Button className="self-start" onClick={onReread}>
        Discard my changes and read again
      </Button>
    </div>
  )
}
