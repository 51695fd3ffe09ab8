import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { CalendarClock, Pause, Pencil, Play, Plus, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { schedules as api, type BranchName, type Schedule } from '@/api/backups'
import { queries } from '@/api/queries'
import { duration, moment } from '@/lib/format'
import { mayChange, useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/confirm'
import { Select } from '@/ui/field'
import { Ago, Badge, Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { BackupHead } from './backup-frame'
import { ScheduleDialog, works } from './schedule-dialog'

/** What is done with a branch again and again: backups, checkpoints, drills. */
export function SchedulesScreen() {
  const navigate = useNavigate()
  const search = useSearch({ from: '/inside/admin/backups/schedules' })
  const { data: projects, error } = useQuery(queries.projects())
  const all = (projects ?? []).flatMap((p) => p.branches.filter((b) => !b.look))
  const first = all.find((b) => b.environment === 'production') ?? all[0]
  const wanted = all.find((b) => `${b.project}/${b.name}` === search.branch) ?? first
  const rights = useRights(wanted?.project ?? '')
  return (
    <>
      <BackupHead name="Schedules" />
      {error && <ErrorNotice error={error} className="mb-4" />}
      {!projects && !error && <Skeleton className="h-48" />}
      {projects && !wanted && (
        <Empty icon={CalendarClock} title="There is no branch yet">
          A new production comes with a daily checkpoint, a weekly and a monthly backup, and a nightly drill.
        </Empty>
      )}
      {wanted && (
        <>
          <Select
            aria-label="Schedules of"
            className="mb-4 w-64 max-w-full"
            value={`${wanted.project}/${wanted.name}`}
            onValueChange={(branch) => navigate({ to: '/admin/backups/schedules', search: { branch } })}
            options={all.map((b) => {
              const name = `${b.project}/${b.name}`
              return { value: name, label: name }
            })}
          />
          <Schedules
            key={wanted.id}
            branch={{ project: wanted.project, branch: wanted.name }}
            may={mayChange(rights, wanted)}
          />
        </>
      )}
    </>
  )
}

function Schedules({ branch, may }: { branch: BranchName; may: boolean }) {
  const client = useQueryClient()
  const key = ['schedules', branch.project, branch.branch]
  const { data, error } = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => api.of(branch, signal),
    refetchInterval: 15_000,
  })
  const [edited, setEdited] = useState<Schedule | 'new' | null>(null)
  const [going, setGoing] = useState<Schedule | null>(null)
  const [problem, setProblem] = useState<unknown>(null)
  const again = () => client.invalidateQueries({ queryKey: key })
  const pause = (s: Schedule) => {
    setProblem(null)
    api.set(branch, s.name ?? '', { ...s, paused: !s.paused }).then(again, setProblem)
  }
  return (
    <Panel>
      <PanelHead
        title="Schedules"
        about="Of runs that were missed one catches up; a second never begins before the first has ended."
      >
        {may && (
          <Button variant="primary" onClick={() => setEdited('new')}>
            <Plus /> New schedule
          </Button>
        )}
      </PanelHead>
      {(error || problem !== null) && <ErrorNotice error={error ?? problem} className="m-3" />}
      {!data && !error && <Skeleton className="m-4 h-32" />}
      {data?.length === 0 && (
        <Empty icon={CalendarClock} title="Nothing is scheduled">
          Add a backup for each week and a drill for each night, to know that it restores.
        </Empty>
      )}
      {data && data.length > 0 && (
        <Table aria-label="Schedules">
          <thead>
            <tr>
              <Th>Schedule</Th>
              <Th>Does</Th>
              <Th>When</Th>
              <Th>Next run</Th>
              <Th>Last run</Th>
              <Th>Keeps</Th>
              <Th>
                <span className="sr-only">Actions</span>
              </Th>
            </tr>
          </thead>
          <tbody>
            {data.map((s) => (
              <Tr key={s.name}>
                <Td className="font-medium">{s.name}</Td>
                <Td className="text-muted">
                  {works[s.work].short}
                  {s.work === 'backup' && ` (${s.format ?? 'custom'})`}
                </Td>
                <Td className="whitespace-nowrap">
                  {s.rule} <span className="text-faint text-xs">{s.zone || 'UTC'}</span>
                </Td>
                <Td className="whitespace-nowrap">
                  {s.paused ? (
                    <Badge tone="warn">paused</Badge>
                  ) : s.next ? (
                    <time dateTime={s.next}>{moment(new Date(s.next))}</time>
                  ) : (
                    '–'
                  )}
                </Td>
                <Td className="text-muted">
                  {s.last_run ? <Ago at={s.last_run} /> : 'never'}{' '}
                  {s.job && (
                    <Link to="/jobs/$id" params={{ id: s.job }} className="text-accent text-xs hover:underline">
                      job
                    </Link>
                  )}
                </Td>
                <Td className="min-w-40 text-muted text-xs">{kept(s)}</Td>
                <Td>
                  {may && (
                    <div className="flex justify-end gap-1">
                      <Button
                        size="icon-sm"
                        variant="ghost"
                        aria-label={`${s.paused ? 'Resume' : 'Pause'} ${s.name}`}
                        onClick={() => pause(s)}
                      >
                        {s.paused ? <Play /> : <Pause />}
                      </Button>
                      <Button size="icon-sm" variant="ghost" aria-label={`Edit ${s.name}`} onClick={() => setEdited(s)}>
                        <Pencil />
                      </Button>
                      <Button
                        size="icon-sm"
                        variant="ghost"
                        aria-label={`Delete ${s.name}`}
                        onClick={() => setGoing(s)}
                      >
                        <Trash2 />
                      </Button>
                    </div>
                  )}
                </Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
      {edited !== null && (
        <ScheduleDialog
          branch={branch}
          schedule={edited === 'new' ? null : edited}
          onClose={() => setEdited(null)}
          again={again}
        />
      )}
      <Confirm
        open={going !== null}
        onOpenChange={(o) => !o && setGoing(null)}
        title={`Delete ${going?.name}?`}
        action="Delete"
        danger
        production={branch.branch === 'production'}
        onConfirm={async () => {
          await api.remove(branch, going?.name ?? '')
          await again()
        }}
      >
        What it made stays, and is no longer deleted by its rule.
      </Confirm>
    </Panel>
  )
}

/** What stays of what a schedule makes, in words. */
function kept(s: Schedule): string {
  const parts = [
    s.keep_last && `the last ${s.keep_last}`,
    s.keep_seconds && `everything of ${duration(s.keep_seconds)}`,
    s.keep_daily && `${s.keep_daily} daily`,
    s.keep_weekly && `${s.keep_weekly} weekly`,
    s.keep_monthly && `${s.keep_monthly} monthly`,
    s.keep_yearly && `${s.keep_yearly} yearly`,
  ].filter(Boolean)
  if (s.work === 'drill') return '–'
  return parts.length === 0 ? 'everything' : parts.join(', ')
}
