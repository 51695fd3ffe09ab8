import { useQueryClient } from '@tanstack/react-query'
import { type ReactNode, useState } from 'react'
import { toast } from 'sonner'
import { structure, type TableStructure, type TableSummary, tablesQuery } from '@/api/structure'
import type { Branch } from '@/api/types'
import { asOne } from '@/lib/ddl'
import { qualified } from '@/lib/table-sql'
import { Button } from '@/ui/button'
import { CopyButton } from '@/ui/copy'
import { Dialog } from '@/ui/dialog'
import { ErrorNotice } from '@/ui/pieces'

/** Which form is open, and what it is about. */
export type Change =
  | { form: 'new table' }
  | { form: 'change table' }
  | { form: 'add column' }
  | { form: 'change column'; column: TableStructure['columns'][number] }
  | { form: 'add constraint' }
  | { form: 'add index' }
  | { form: 'add policy' }
  | {
      form: 'statement'
      title: string
      about: ReactNode
      action: string
      sql: string
      loses?: boolean
      leaves?: boolean
    }

/** Offers to drop something, which is asked for with its SQL. */
export function drop(what: string, sql: string, about: ReactNode, leaves = false): Change {
  return { form: 'statement', title: `Drop ${what}?`, action: 'Drop', sql, about, loses: true, leaves }
}

export type FormProps = {
  branch: Branch
  /** Undefined where there is none yet. */
  table: TableStructure | undefined
  tables: TableSummary[]
  onClose: () => void
  /** The structure is another one now; named when the table has another name. */
  onDone: (named?: { schema: string; name: string } | null) => void
}

type Props = {
  branch: Branch
  title: string
  action: string
  /** What would run; empty while the form is not complete. */
  sql: string
  loses?: boolean
  children?: ReactNode
  onClose: () => void
  onDone: () => void
}

/** A form that makes statements, which are shown before they run: as a whole or not at all. */
export function ChangeDialog({ branch, title, action, sql, loses, children, onClose, onDone }: Props) {
  const client = useQueryClient()
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const script = asOne(sql)
  const run = async () => {
    setBusy(true)
    setError(null)
    try {
      await structure.change({ project: branch.project, branch: branch.name }, script)
      toast.success('Done')
      // Which tables there are comes first: one that was dropped or renamed is not asked for again.
      const tables = await client.fetchQuery({ ...tablesQuery(branch), staleTime: 0 }).catch(() => [])
      onDone()
      const there = new Set<unknown>(tables.map(qualified))
      client.invalidateQueries({ queryKey: ['structure', branch.id], predicate: (q) => there.has(q.queryKey[2]) })
      for (const key of ['tables', 'names', 'rows']) client.invalidateQueries({ queryKey: [key, branch.id] })
    } catch (thrown) {
      setError(thrown)
    } finally {
      setBusy(false)
    }
  }
  return (
    <Dialog
      open
      onOpenChange={(o) => !o && !busy && onClose()}
      title={title}
      className="max-w-2xl"
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button variant={loses ? 'danger' : 'primary'} busy={busy} disabled={script === ''} onClick={run}>
            {action}
          </Button>
        </>
      }
    >
      <div className="flex max-h-[65dvh] flex-col gap-4 overflow-y-auto p-1 text-sm">
        {children}
        <div className="flex flex-col gap-1.5">
          <p className="text-muted text-xs">This is what runs on {branch.name}:</p>
          <pre
            data-testid="change-sql"
            className="max-h-60 overflow-auto whitespace-pre-wrap rounded-md bg-sunken p-2 text-2xs"
          >
            {script === '' ? '–' : script}
          </pre>
          {script !== '' && <CopyButton text={script} label="Copy the SQL" className="self-start" />}
        </div>
        {error !== null && <ErrorNotice error={error} />}
      </div>
    </Dialog>
  )
}
