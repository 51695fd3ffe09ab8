import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Archive, ArrowDownToLine, Eye, Plus, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { backups as api, type Backup } from '@/api/backups'
import { queries } from '@/api/queries'
import { bytes, count, moment } from '@/lib/format'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { Sheet } from '@/ui/dialog'
import { Field, Select } from '@/ui/field'
import { Grid } from '@/ui/grid'
import { Ago, Badge, Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { FormDialog } from './branch-dialogs'
import { PageHead } from './page'

/** Portable backups of every branch: what they hold, and what can be done with them. */
export function BackupsScreen() {
  const client = useQueryClient()
  const { data, error } = useQuery({
    queryKey: ['backups'],
    queryFn: ({ signal }) => api.all(signal),
    refetchInterval: (q) => (q.state.data?.some((b) => b.status === 'in_progress') ? 1000 : 10_000),
  })
  const [creating, setCreating] = useState(false)
  const [shown, setShown] = useState<Backup | null>(null)
  const [going, setGoing] = useState<Backup | null>(null)
  const again = () => client.invalidateQueries({ queryKey: ['backups'] })
  return (
    <>
      <PageHead
        name="Backups"
        title="Backups"
        about="Portable copies of a branch in formats that PostgreSQL’s own tools and others read."
      >
        <Button variant="primary" onClick={() => setCreating(true)}>
          <Plus /> New backup
        </Button>
      </PageHead>
      {error && <ErrorNotice error={error} className="mb-4" />}
      {!data && !error && <Skeleton className="h-60" />}
      {data && (
        <Panel>
          <PanelHead title={`${data.length} backups`} />
          {data.length === 0 ? (
            <Empty icon={Archive} title="No backups yet">
              Make one before something risky, or to take the data elsewhere.
            </Empty>
          ) : (
            <List backups={data} onShow={setShown} onDelete={setGoing} />
          )}
        </Panel>
      )}
      {creating && <NewBackup onClose={() => setCreating(false)} again={again} />}
      {shown && <Preview backup={shown} onClose={() => setShown(null)} />}
      <Confirm
        open={going !== null}
        onOpenChange={(o) => !o && setGoing(null)}
        title={`Delete ${going?.name}?`}
        action="Delete"
        danger
        onConfirm={async () => {
          if (going) await api.remove(going.id)
          await again()
        }}
      >
        Its copies are deleted from every destination.
      </Confirm>
    </>
  )
}

const states = {
  in_progress: { tone: 'accent', text: 'In progress' },
  completed: { tone: 'ok', text: 'Completed' },
  failed: { tone: 'production', text: 'Failed' },
} as const

type ListProps = { backups: Backup[]; onShow: (b: Backup) => void; onDelete: (b: Backup) => void }

function List({ backups, onShow, onDelete }: ListProps) {
  const [error, setError] = useState<unknown>(null)
  return (
    <>
      {error !== null && <ErrorNotice error={error} className="m-3" />}
      <Table aria-label="Backups">
        <thead>
          <tr>
            <Th>Backup</Th>
            <Th>Branch</Th>
            <Th>State</Th>
            <Th className="text-right">Rows</Th>
            <Th className="text-right">Size</Th>
            <Th>Checksum</Th>
            <Th>Created</Th>
            <Th>
              <span className="sr-only">Actions</span>
            </Th>
          </tr>
        </thead>
        <tbody>
          {backups.map((b) => (
            <Tr key={b.id}>
              <Td className="font-medium">
                {b.name} <span className="text-faint text-xs">{b.format}</span>
              </Td>
              <Td className={b.branch === 'production' ? 'text-production' : ''}>
                {b.project}/{b.branch}
              </Td>
              <Td>
                <span className="flex flex-wrap gap-1">
                  <Badge tone={states[b.status].tone}>{states[b.status].text}</Badge>
                  {b.verified_at && <Badge tone="ok">verified</Badge>}
                  {b.held && <Badge tone="warn">held</Badge>}
                  {b.pinned && <Badge>pinned</Badge>}
                </span>
                {b.error && (
                  <p className="text-production text-xs">
                    {b.error} {b.error_hint}
                  </p>
                )}
              </Td>
              <Td className="text-right">{count(b.records)}</Td>
              <Td className="text-right">{bytes(b.size)}</Td>
              <Td className="font-mono text-faint text-xs" title={b.sha256}>
                {b.sha256?.slice(0, 12) ?? '–'}
              </Td>
              <Td className="text-muted">
                <Ago at={b.created_at} />
              </Td>
              <Td>
                <div className="flex justify-end gap-1">
                  {b.status === 'completed' && (
                    <>
                      <Button
                        size="icon-sm"
                        variant="ghost"
                        aria-label={`Look into ${b.name}`}
                        onClick={() => onShow(b)}
                      >
                        <Eye />
                      </Button>
                      <Button
                        size="icon-sm"
                        variant="ghost"
                        aria-label={`Download ${b.name}`}
                        onClick={() => api.download(b).catch(setError)}
                      >
                        <ArrowDownToLine />
                      </Button>
                    </>
                  )}
                  <Button size="icon-sm" variant="ghost" aria-label={`Delete ${b.name}`} onClick={() => onDelete(b)}>
                    <Trash2 />
                  </Button>
                </div>
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </>
  )
}

const formats = ['json', 'custom', 'plain', 'directory', 'csv'] as const

function NewBackup({ onClose, again }: { onClose: () => void; again: () => void }) {
  const projects = useQuery(queries.projects()).data ?? []
  const all = projects.flatMap((p) => p.branches.map((b) => `${p.name}/${b.name}`))
  const [branch, setBranch] = useState('')
  const [format, setFormat] = useState<(typeof formats)[number]>('json')
  const chosen = branch || all[0] || ''
  return (
    <FormDialog
      title="New backup"
      action="Back up"
      ready={chosen !== ''}
      onClose={onClose}
      onSubmit={async () => {
        const [project = '', name = ''] = chosen.split('/')
        await api.create({ project, branch: name, format })
        again()
        onClose()
      }}
    >
      <Field label="Branch">
        {(ids) => (
          <Select
            {...ids}
            value={chosen}
            onValueChange={setBranch}
            options={all.map((b) => ({ value: b, label: b }))}
          />
        )}
      </Field>
      <Field label="Format" hint="JSON can be looked into here; custom is for pg_restore.">
        {(ids) => (
          <Select
            {...ids}
            value={format}
            onValueChange={(f) => setFormat(f as typeof format)}
            options={formats.map((f) => ({ value: f, label: f }))}
          />
        )}
      </Field>
    </FormDialog>
  )
}

function Preview({ backup, onClose }: { backup: Backup; onClose: () => void }) {
  const [table, setTable] = useState('')
  const [page, setPage] = useState(1)
  const { data, error } = useQuery({
    queryKey: ['backup', backup.id, table, page],
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
