import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { Archive, Ellipsis, Eye, Plus, Undo2 } from 'lucide-react'
import { useState } from 'react'
import { backups as api, type Backup } from '@/api/backups'
import { queries } from '@/api/queries'
import { bytes, count } from '@/lib/format'
import { useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { Select } from '@/ui/field'
import { Menu, MenuContent, MenuItem, MenuTrigger } from '@/ui/menu'
import { Ago, Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { BackupDialogs, BackupItems, type BackupQuestion } from './backup-actions'
import { BackupHead, BackupState } from './backup-frame'
import { NewBackup } from './backup-new'
import { BackupPreview } from './backup-preview'
import { UndoRestore } from './backup-restore'
import { JobDialog } from './job-dialog'

/** Portable backups of every branch: what they hold, and what can be done with them. */
export function BackupsScreen() {
  const client = useQueryClient()
  const navigate = useNavigate()
  const { branch } = useSearch({ from: '/inside/admin/backups' })
  const projects = useQuery(queries.projects()).data ?? []
  const { data, error } = useQuery({
    queryKey: ['backups'],
    queryFn: ({ signal }) => api.all(signal),
    refetchInterval: (q) => (q.state.data?.some((b) => b.status === 'in_progress') ? 1000 : 10_000),
  })
  const [creating, setCreating] = useState(false)
  const [undoing, setUndoing] = useState(false)
  const [shown, setShown] = useState<Backup | null>(null)
  const [work, setWork] = useState<{ id: string; title: string } | null>(null)
  const again = () => client.invalidateQueries({ queryKey: ['backups'] })
  // Backups outlive their branch, so that both say what there is to choose from.
  const names = [
    ...new Set([
      ...projects.flatMap((p) => p.branches.filter((b) => !b.look).map((b) => `${p.name}/${b.name}`)),
      ...(data ?? []).map((b) => `${b.project}/${b.branch}`),
    ]),
  ].sort()
  const wanted = data?.filter((b) => !branch || `${b.project}/${b.branch}` === branch)
  const [project = '', name = ''] = branch?.split('/') ?? []
  return (
    <>
      <BackupHead name="Backups">
        <Button variant="primary" onClick={() => setCreating(true)}>
          <Plus /> New backup
        </Button>
      </BackupHead>
      {error && <ErrorNotice error={error} className="mb-4" />}
      {!data && !error && <Skeleton className="h-60" />}
      {wanted && (
        <Panel>
          <PanelHead title={wanted.length === 1 ? 'One backup' : `${wanted.length} backups`}>
            {branch && (
              <Button onClick={() => setUndoing(true)}>
                <Undo2 /> Undo the newest restore…
              </Button>
            )}
            <Select
              aria-label="Backups of"
              className="w-56 max-w-full"
              value={branch ?? '-'}
              onValueChange={(b) => navigate({ to: '/admin/backups', search: b === '-' ? {} : { branch: b } })}
              options={[{ value: '-', label: 'Every branch' }, ...names.map((b) => ({ value: b, label: b }))]}
            />
          </PanelHead>
          {wanted.length === 0 ? (
            <Empty icon={Archive} title="No backups yet">
              Make one before something risky, or to take the data elsewhere.
            </Empty>
          ) : (
            <List backups={wanted} onShow={setShown} again={again} onWork={(id, title) => setWork({ id, title })} />
          )}
        </Panel>
      )}
      {creating && <NewBackup branch={branch} onClose={() => setCreating(false)} again={again} />}
      {shown && <BackupPreview backup={shown} onClose={() => setShown(null)} />}
      {undoing && (
        <UndoRestore
          project={project}
          branch={name}
          onClose={() => setUndoing(false)}
          onWork={(id, title) => setWork({ id, title })}
        />
      )}
      <JobDialog id={work?.id ?? null} title={work?.title ?? ''} onClose={() => setWork(null)} onEnd={again} />
    </>
  )
}

type ListProps = {
  backups: Backup[]
  onShow: (b: Backup) => void
  again: () => void
  onWork: (id: string, title: string) => void
}

function List({ backups, onShow, again, onWork }: ListProps) {
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
            <BackupRow key={b.id} backup={b} onShow={onShow} again={again} onWork={onWork} onError={setError} />
          ))}
        </tbody>
      </Table>
    </>
  )
}

type RowProps = Omit<ListProps, 'backups'> & { backup: Backup; onError: (error: unknown) => void }

function BackupRow({ backup: b, onShow, again, onWork, onError }: RowProps) {
  const [question, ask] = useState<BackupQuestion>(null)
  const rights = useRights(b.project)
  return (
    <Tr>
      <Td className="font-medium">
        <Link to="/admin/backups/$backup" params={{ backup: b.id }} className="hover:underline">
          {b.name}
        </Link>{' '}
        <span className="text-faint text-xs">{b.format}</span>
      </Td>
      <Td className={b.branch === 'production' ? 'text-production' : ''}>
        {b.project}/{b.branch}
      </Td>
      <Td>
        <BackupState backup={b} />
        {b.error && (
          <p className="min-w-52 text-production text-xs">
            {b.error} {b.error_hint}
          </p>
        )}
      </Td>
      <Td className="whitespace-nowrap text-right">{count(b.records)}</Td>
      <Td className="whitespace-nowrap text-right">{bytes(b.size)}</Td>
      <Td className="font-mono text-faint text-xs" title={b.sha256}>
        {b.sha256?.slice(0, 12) ?? '–'}
      </Td>
      <Td className="text-muted">
        <Ago at={b.created_at} />
      </Td>
      <Td>
        <div className="flex justify-end gap-1">
          {b.status === 'completed' && (
            <Button size="icon-sm" variant="ghost" aria-label={`Look into ${b.name}`} onClick={() => onShow(b)}>
              <Eye />
            </Button>
          )}
          <Menu>
            <MenuTrigger asChild>
              <Button size="icon-sm" variant="ghost" aria-label={`Actions for ${b.name}`}>
                <Ellipsis />
              </Button>
            </MenuTrigger>
            <MenuContent align="end">
              <MenuItem asChild>
                <Link to="/admin/backups/$backup" params={{ backup: b.id }}>
                  <Archive /> Open
                </Link>
              </MenuItem>
              <BackupItems backup={b} rights={rights} ask={ask} again={again} onWork={onWork} onError={onError} />
            </MenuContent>
          </Menu>
        </div>
        <BackupDialogs backup={b} question={question} ask={ask} again={again} onWork={onWork} />
      </Td>
    </Tr>
  )
}
