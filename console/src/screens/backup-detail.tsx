import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { ArrowDownToLine, Ellipsis, Eye, RotateCcw, ShieldCheck } from 'lucide-react'
import { useState } from 'react'
import { backups as api, type Backup } from '@/api/backups'
import { bytes, count, duration, moment, words } from '@/lib/format'
import { useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { CopyButton } from '@/ui/copy'
import { Menu, MenuContent, MenuTrigger } from '@/ui/menu'
import { Ago, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { BackupDialogs, BackupItems, type BackupQuestion, mayKeep } from './backup-actions'
import { BackupState } from './backup-frame'
import { BackupPreview } from './backup-preview'
import { BackupProof } from './backup-proof'
import { Fact } from './branch-card'
import { JobDialog } from './job-dialog'
import { PageHead } from './page'

/** One backup: what it holds, where it lies, and the proof that it restores. */
export function BackupScreen() {
  const { backup: id } = useParams({ from: '/inside/admin/backups/$backup' })
  const { data: b, error } = useQuery({
    queryKey: ['backup', id],
    queryFn: ({ signal }) => api.one(id, signal),
    refetchInterval: (q) => (q.state.data?.status === 'in_progress' ? 1000 : 10_000),
  })
  if (error && !b) return <ErrorNotice error={error} />
  if (!b) return <Skeleton className="h-64" />
  return <Shown backup={b} />
}

function Shown({ backup: b }: { backup: Backup }) {
  const client = useQueryClient()
  const navigate = useNavigate()
  const rights = useRights(b.project)
  const [question, ask] = useState<BackupQuestion>(null)
  const [looking, setLooking] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const [work, setWork] = useState<{ id: string; title: string } | null>(null)
  const again = () => {
    client.invalidateQueries({ queryKey: ['backup', b.id] })
    client.invalidateQueries({ queryKey: ['backup-report', b.id] })
    client.invalidateQueries({ queryKey: ['backups'] })
  }
  const follow = (job: string, title: string) => setWork({ id: job, title })
  const verify = () => api.verify(b.id).then((job) => follow(job.id, `Proving that ${b.name} restores`), setError)
  const done = b.status === 'completed'
  return (
    <>
      <PageHead
        name={b.name}
        title={
          <span className="flex flex-wrap items-center gap-2 [overflow-wrap:anywhere]">
            {b.name} <BackupState backup={b} />
          </span>
        }
        about={
          <>
            of{' '}
            <span className={b.branch === 'production' ? 'text-production' : ''}>
              {b.project}/{b.branch}
            </span>
            {b.snapshot_at && `, as it was at ${moment(new Date(b.snapshot_at))}`}
          </>
        }
      >
        {done && (
          <>
            <Button onClick={() => setLooking(true)}>
              <Eye /> Look into it
            </Button>
            <Button onClick={() => api.download(b).catch(setError)}>
              <ArrowDownToLine /> Download
            </Button>
            {rights.write && (
              <Button variant="primary" onClick={() => ask('restore')}>
                <RotateCcw /> Restore…
              </Button>
            )}
          </>
        )}
        <Menu>
          <MenuTrigger asChild>
            <Button variant="ghost" size="icon" aria-label={`Actions for ${b.name}`}>
              <Ellipsis />
            </Button>
          </MenuTrigger>
          <MenuContent align="end">
            <BackupItems backup={b} rights={rights} ask={ask} again={again} onWork={follow} onError={setError} />
          </MenuContent>
        </Menu>
      </PageHead>
      {error !== null && <ErrorNotice error={error} className="mb-4" />}
      {b.error && <Failure backup={b} />}
      <div className="flex flex-col gap-5">
        <Facts backup={b} />
        {done && (
          <BackupProof backup={b}>
            {mayKeep(rights, b) && (
              <Button onClick={verify}>
                <ShieldCheck /> Verify now
              </Button>
            )}
          </BackupProof>
        )}
        <Counts backup={b} />
      </div>
      {looking && <BackupPreview backup={b} onClose={() => setLooking(false)} />}
      <BackupDialogs
        backup={b}
        question={question}
        ask={ask}
        again={again}
        onWork={follow}
        onDeleted={() => navigate({ to: '/admin/backups' })}
      />
      <JobDialog id={work?.id ?? null} title={work?.title ?? ''} onClose={() => setWork(null)} onEnd={again} />
    </>
  )
}

function Failure({ backup: b }: { backup: Backup }) {
  return (
    <div className="mb-4">
      <ErrorNotice error={[b.error, b.error_hint].filter(Boolean).join(' ')} />
      {(b.tool_output ?? []).length > 0 && (
        <pre className="mt-2 max-h-52 overflow-auto rounded-lg border border-line bg-sunken px-3 py-2 text-xs">
          {b.tool_output?.join('\n')}
        </pre>
      )}
    </div>
  )
}

function Facts({ backup: b }: { backup: Backup }) {
  const what = b.data_only ? 'rows only' : b.schema_only ? 'structure only' : 'structure and rows'
  const took = b.completed_at ? (Date.parse(b.completed_at) - Date.parse(b.created_at)) / 1000 : -1
  return (
    <Panel className="p-4">
      <dl className="grid grid-cols-2 gap-4 sm:grid-cols-4">
        <Fact name="Format">{[b.format, b.compression].filter(Boolean).join(', ')}</Fact>
        <Fact name="What">{what}</Fact>
        <Fact name="Rows">{count(b.records)}</Fact>
        <Fact name="Size">{bytes(b.size)}</Fact>
        <Fact name="Made">
          <Ago at={b.created_at} />
        </Fact>
        <Fact name="Took">{duration(took)}</Fact>
        <Fact name="By">{b.created_by?.replace(/^token /, '') || '–'}</Fact>
        <Fact name="Why">{b.reason ? words(b.reason) : '–'}</Fact>
        <Fact name="PostgreSQL">{b.server_version || '–'}</Fact>
        <Fact name="Written by">{b.tool || '–'}</Fact>
        <Fact name="Destinations">{(b.destinations ?? []).join(', ') || '–'}</Fact>
        <Fact name="Job">
          {b.job ? (
            <Link to="/jobs/$id" params={{ id: b.job }} className="text-accent hover:underline">
              {b.job}
            </Link>
          ) : (
            '–'
          )}
        </Fact>
      </dl>
      {(b.tables ?? []).length > 0 && (
        <p className="mt-4 text-muted text-sm">
          Only <code className="text-xs">{b.tables?.join(', ')}</code>
        </p>
      )}
      {b.sha256 && (
        <p className="mt-4 flex items-center gap-1 text-muted text-xs">
          SHA-256 <code className="min-w-0 truncate">{b.sha256}</code>
          <CopyButton text={b.sha256} label="Copy the checksum" variant="ghost" size="icon-sm" />
        </p>
      )}
    </Panel>
  )
}

/** How many rows of each table it holds, beside those that there are now. */
function Counts({ backup: b }: { backup: Backup }) {
  const now = useMutation({ mutationFn: () => api.stats({ project: b.project, branch: b.branch }) })
  const held = b.record_counts ?? []
  if (held.length === 0) return null
  const present = new Map((now.data?.tables ?? []).map((t) => [`${t.schema}.${t.table}`, t.records]))
  return (
    <Panel>
      <PanelHead title={`${count(held.length)} tables`} about="Counting what there is now wakes the branch.">
        <Button busy={now.isPending} onClick={() => now.mutate()}>
          Compare with now
        </Button>
      </PanelHead>
      {now.error && <ErrorNotice error={now.error} className="m-3" />}
      <Table aria-label="Tables of the backup">
        <thead>
          <tr>
            <Th>Table</Th>
            <Th className="text-right">Rows in the backup</Th>
            {now.data && <Th className="text-right">Rows now</Th>}
            {now.data && <Th className="text-right">Since then</Th>}
          </tr>
        </thead>
        <tbody>
          {held.map((t) => {
            const name = `${t.schema}.${t.table}`
            const rows = present.get(name)
            return (
              <Tr key={name}>
                <Td className="font-mono text-xs">{name}</Td>
                <Td className="text-right">{count(t.records)}</Td>
                {now.data && <Td className="text-right">{rows === undefined ? 'gone' : count(rows)}</Td>}
                {now.data && <Td className="text-right text-muted">{change(t.records, rows)}</Td>}
              </Tr>
            )
          })}
        </tbody>
      </Table>
    </Panel>
  )
}

function change(then: number, now: number | undefined): string {
  if (now === undefined || now === then) return '–'
  return now > then ? `+${count(now - then)}` : `−${count(then - now)}`
}
