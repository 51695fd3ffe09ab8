import { useQuery, useQueryClient } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { Bookmark, Pin, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { type Backup, backups } from '@/api/backups'
import { branches as api, type Checkpoint } from '@/api/branches'
import { type Publish, publishQueries } from '@/api/publish'
import type { Branch } from '@/api/types'
import { moment, words } from '@/lib/format'
import { exactly, type Mark, marksOf } from '@/lib/moments'
import { mayChange, useRights } from '@/lib/rights'
import { Button } from '@/ui/button'
import { Checkbox, Field, Input } from '@/ui/field'
import { Ago, Badge, Empty, ErrorNotice, Panel, PanelHead, Skeleton } from '@/ui/pieces'
import { Table, Td, Th, Tr } from '@/ui/table'
import { useBranch } from './branch'
import { FormDialog } from './branch-dialogs'
import { Timeline } from './history-timeline'
import { Way } from './history-way'

const route = getRouteApi('/inside/projects/$project/branches/$branch/history')

/** Every moment of a branch: what can be had, what happened, what was marked, and the ways back. */
export function BranchHistory() {
  const branch = useBranch()
  const client = useQueryClient()
  const may = mayChange(useRights(branch.project), branch)
  const history = useQuery({
    queryKey: ['history', branch.id],
    queryFn: ({ signal }) => api.history(branch, signal),
    refetchInterval: 10_000,
  })
  const points = useQuery({
    queryKey: ['checkpoints', branch.id],
    queryFn: ({ signal }) => api.checkpoints(branch, signal),
  })
  const { publishes, made } = useHappened(branch)
  const asked = route.useSearch().at ?? ''
  const [at, setAt] = useState(asked)
  const [marking, setMarking] = useState(false)
  const again = () => {
    client.invalidateQueries({ queryKey: ['history', branch.id] })
    client.invalidateQueries({ queryKey: ['checkpoints', branch.id] })
    client.invalidateQueries({ queryKey: ['project', branch.project] })
  }
  const marks = history.data
    ? marksOf({ history: history.data, points: points.data ?? [], publishes, backups: made })
    : []
  const chosenMark = marks.find((m) => m.choose === at && m.kind !== 'publish') ?? marks.find((m) => m.choose === at)
  const chosen = exactly(at) ?? (chosenMark ? new Date(chosenMark.at) : null)
  return (
    <div className="flex flex-col gap-5">
      {history.error && <ErrorNotice error={history.error} />}
      {!history.data && !history.error && <Skeleton className="h-40" />}
      {history.data && <Timeline history={history.data} marks={marks} chosen={chosen} onChoose={setAt} />}
      <Way at={at} onAt={setAt} again={again} may={may} />
      <Happened marks={marks} onChoose={setAt} />
      <Panel>
        <PanelHead title="Checkpoints" about="Named moments. A pinned one is kept until it is unpinned.">
          {may && (
            <Button onClick={() => setMarking(true)}>
              <Bookmark /> Mark this moment
            </Button>
          )}
        </PanelHead>
        {points.error && <ErrorNotice error={points.error} className="m-3" />}
        {points.data?.length === 0 ? (
          <Empty icon={Bookmark} title="No checkpoints yet">
            Mark the present moment before something risky, to find it again by its name.
          </Empty>
        ) : (
          <Points points={points.data ?? []} may={may} onChoose={setAt} again={again} />
        )}
      </Panel>
      {marking && <MarkDialog onClose={() => setMarking(false)} again={again} />}
    </div>
  )
}

/** The publishes, which are of production, and the portable backups of a branch. */
function useHappened(branch: Branch): { publishes: Publish[]; made: Backup[] } {
  const publishes = useQuery({
    ...publishQueries.list(branch.project),
    enabled: branch.environment === 'production',
  }).data
  const made = useQuery({
    queryKey: ['backups', branch.project, branch.name],
    queryFn: ({ signal }) => backups.ofBranch({ project: branch.project, branch: branch.name }, signal),
    refetchInterval: 30_000,
  }).data
  return { publishes: publishes ?? [], made: made ?? [] }
}

/** Publishes and backups, each a press away from the moment that it saw. */
function Happened({ marks, onChoose }: { marks: Mark[]; onChoose: (at: string) => void }) {
  const shown = marks.filter((m) => m.kind === 'publish' || m.kind === 'backup').slice(0, 20)
  if (shown.length === 0) return null
  return (
    <Panel>
      <PanelHead title="Publishes and backups" about="Of a publish the moment just before it is chosen." />
      <Table aria-label="Publishes and backups">
        <thead>
          <tr>
            <Th>What</Th>
            <Th>When</Th>
            <Th>
              <span className="sr-only">Actions</span>
            </Th>
          </tr>
        </thead>
        <tbody>
          {shown.map((m) => (
            <Tr key={`${m.kind} ${m.id}`}>
              <Td className="font-medium">
                {m.name}{' '}
                <Badge tone={m.kind === 'publish' ? 'preview' : undefined} className="ml-1">
                  {m.kind}
                </Badge>
              </Td>
              <Td className="whitespace-nowrap text-muted">{moment(new Date(m.at))}</Td>
              <Td className="text-right">
                <Button size="sm" aria-label={`Choose ${m.name}`} onClick={() => onChoose(m.choose)}>
                  Choose
                </Button>
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Panel>
  )
}

function MarkDialog({ onClose, again }: { onClose: () => void; again: () => void }) {
  const branch = useBranch()
  const [label, setLabel] = useState('')
  const [pinned, setPinned] = useState(false)
  return (
    <FormDialog
      title="Mark this moment"
      action="Mark"
      ready={label.trim() !== ''}
      onClose={onClose}
      onSubmit={async () => {
        await api.addCheckpoint(branch, label.trim(), pinned)
        again()
        onClose()
      }}
    >
      <Field label="Label">
        {(ids) => <Input {...ids} autoFocus value={label} onChange={(e) => setLabel(e.target.value)} />}
      </Field>
      <Checkbox checked={pinned} onCheckedChange={setPinned} label="Pin it" hint="It is kept until it is unpinned." />
    </FormDialog>
  )
}

type PointsProps = { points: Checkpoint[]; may: boolean; onChoose: (at: string) => void; again: () => void }

function Points({ points, may, onChoose, again }: PointsProps) {
  const branch = useBranch()
  const [error, setError] = useState<unknown>(null)
  const act = (what: Promise<unknown>) => what.then(again, setError)
  return (
    <>
      {error !== null && <ErrorNotice error={error} className="m-3" />}
      <Table aria-label="Checkpoints">
        <thead>
          <tr>
            <Th>Label</Th>
            <Th>Why</Th>
            <Th>When</Th>
            <Th>
              <span className="sr-only">Actions</span>
            </Th>
          </tr>
        </thead>
        <tbody>
          {points.map((p) => (
            <Tr key={p.id}>
              <Td className="font-medium">
                {p.label || '–'}
                {p.lost && <p className="font-normal text-production text-xs">Cannot be restored: {p.lost}</p>}
              </Td>
              <Td className="text-muted">{words(p.reason)}</Td>
              <Td className="text-muted">
                <Ago at={p.at} />
                {p.kept_until && <p className="text-faint text-xs">kept until {moment(new Date(p.kept_until))}</p>}
              </Td>
              <Td>
                <div className="flex justify-end gap-1">
                  <Button size="sm" disabled={Boolean(p.lost)} onClick={() => onChoose(`checkpoint:${p.id}`)}>
                    Choose
                  </Button>
                  {may && (
                    <>
                      <Button
                        size="icon-sm"
                        variant="ghost"
                        aria-pressed={p.pinned}
                        aria-label={`${p.pinned ? 'Unpin' : 'Pin'} ${p.label || p.id}`}
                        onClick={() => act(api.pin(branch, p.id, !p.pinned))}
                      >
                        <Pin className={p.pinned ? 'text-accent' : ''} />
                      </Button>
                      <Button
                        size="icon-sm"
                        variant="ghost"
                        aria-label={`Forget ${p.label || p.id}`}
                        onClick={() => act(api.forget(branch, p.id))}
                      >
                        <Trash2 />
                      </Button>
                    </>
                  )}
                </div>
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </>
  )
}
