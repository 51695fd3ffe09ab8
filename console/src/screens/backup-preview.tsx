import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { backups as api, type Backup } from '@/api/backups'
import { count, moment } from '@/lib/format'
import { Button } from '@/ui/button'
import { Sheet } from '@/ui/dialog'
import { Select } from '@/ui/field'
import { Grid } from '@/ui/grid'
import { ErrorNotice, Skeleton } from '@/ui/pieces'

/** Rows of a backup, table by table and page by page. */
export function BackupPreview({ backup, onClose }: { backup: Backup; onClose: () => void }) {
  const [table, setTable] = useState('')
  const [page, setPage] = useState(1)
  const { data, error } = useQuery({
    queryKey: ['backup-rows', backup.id, table, page],
    queryFn: ({ signal }) => api.rows(backup.id, table, page, signal),
  })
  const names = data?.columns ?? []
  return (
    <Sheet
      open
      onOpenChange={(o) => !o && onClose()}
      title={backup.name}
      description={backup.snapshot_at ? `As of ${moment(new Date(backup.snapshot_at))}` : undefined}
      className="max-w-3xl"
    >
      {error && <ErrorNotice error={error} />}
      {!data && !error && <Skeleton className="h-60" />}
      {data && (
        <div className="flex flex-col gap-3">
          <Select
            aria-label="Table of the backup"
            value={`${data.schema}.${data.table}`}
            onValueChange={(t) => {
              setTable(t)
              setPage(1)
            }}
            options={(data.tables ?? []).map((t) => ({
              value: `${t.schema}.${t.table}`,
              label: `${t.schema}.${t.table} (${count(t.records)})`,
            }))}
          />
          <Grid
            label="Rows of the backup"
            className="h-96 rounded-lg border border-line"
            columns={names.map((c) => ({ key: c, name: c, about: '' }))}
            rows={data.rows?.length ?? 0}
            value={(r, c) => (data.rows?.[r] as Record<string, string | null>)?.[names[c] ?? ''] ?? null}
          />
          <div className="flex items-center justify-between text-muted text-xs">
            <span>{count(data.total)} rows</span>
            <span className="flex gap-2">
              <Button size="sm" disabled={page <= 1} onClick={() => setPage(page - 1)}>
                Before
              </Button>
              <Button size="sm" disabled={page * data.limit >= data.total} onClick={() => setPage(page + 1)}>
                Next
              </Button>
            </span>
          </div>
        </div>
      )}
    </Sheet>
  )
}
